"""Writing annotated pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...models.results import Result

_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


class PictureSaver:
    """Writes annotated pictures, never two to the same name.

    Args:
        target: A file, if it ends like a picture, else a folder.
        backend: Goes into the names.
        style: What `draw` takes besides the picture and the result.

    """

    def __init__(self, target: Path, backend: str, **style: Any) -> None:  # noqa: ANN401
        self._target = target
        self._backend = backend
        self._style = style
        self._taken: set[Path] = set()

    @property
    def is_file(self) -> bool:
        """Whether the target is one picture."""
        return self._target.suffix.lower() in _PICTURES and not self._target.is_dir()

    def save(self, source: str, image: NDArray[np.uint8], result: Result) -> Path:
        """Draw *result* and write it; return where.

        Raises:
            InputError: It cannot be written.

        """
        import cv2

        from ..kinds.drawing import draw

        path = self._target if self.is_file else self._name(Path(source))
        if path.resolve() == Path(source).resolve():
            raise InputError(f"--save would overwrite the source {source}", "Choose another place with --save.")
        drawn = draw(image, result, **self._style)
        try:
            done, data = cv2.imencode(path.suffix, drawn)
        except cv2.error:  # how some versions of OpenCV say that it is not done
            done = False
        if not done:
            height, width = image.shape[:2]
            raise InputError(
                f"cannot write {path}: the format does not hold {width}x{height} pixels",
                "Convert the picture to PNG first.",
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.tobytes())
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}", "Choose another place with --save.") from error
        return path

    def _name(self, source: Path) -> Path:
        suffix = source.suffix.lower() if source.suffix.lower() in _PICTURES else ".png"
        for number in range(1, len(self._taken) + 2):
            again = "" if number == 1 else f"-{number}"
            path = self._target / f"{source.stem}_{self._backend}{again}{suffix}"
            if path not in self._taken:
                break
        self._taken.add(path)
        return path

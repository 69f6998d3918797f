"""What each stack of a landmark network finds."""

from typing import NamedTuple

from torch import Tensor

from cvport.models.landmarks68.network import StackedHourglass


class Stage(NamedTuple):
    """What one stack finds.

    Attributes:
        landmarks: (N,68,2) float32, x y in -1..1.
        points: (N,68,64,64) float32 attention maps of the points.
        edges: (N,9,64,64) float32 attention maps of the contours.
        fusion: (N,68,64,64) float32, whose centroids the landmarks are.

    """

    landmarks: Tensor
    points: Tensor
    edges: Tensor
    fusion: Tensor


def stages(network: StackedHourglass, x: Tensor) -> list[Stage]:
    """Compute what each stack finds in (N,3,256,256); the last one's landmarks are the network's."""
    fused = [(maps, network.fuse_maps(maps)) for maps in network.run_stacks(x)]
    return [Stage(network.centroids(fusion), maps.points, maps.edges, fusion) for maps, fusion in fused]

# cvport on a CPU. Not built by the project's CI, which can pull no images: read through only.
#
#   docker build -t cvport .                        # the base install: cvrun on exported files
#   docker build -t cvport:export --target export . # adds PyTorch and the exporter
#   docker run --rm -v "$PWD:/data" cvport cvrun -m yolox.onnx --backend onnx --save out image.png
#
# Files in the mounted folder belong to the user of the host; where its id is not 1000, add --user "$(id -u):$(id -g)".
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim AS base
# HOME can be written by whatever user the container runs as: digests of files that were checked are kept there.
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 HOME=/home/cvport
COPY --from=build /wheels /wheels
COPY constraints.txt /wheels/
RUN pip install -c /wheels/constraints.txt /wheels/cvport-*.whl \
    && useradd --uid 1000 --create-home cvport \
    && chmod 1777 /home/cvport
USER cvport
WORKDIR /data
CMD ["python", "-m", "cvport"]

FROM base AS export
USER root
# The CPU build of PyTorch: the one of PyPI brings CUDA, which is some gigabytes.
RUN pip install -c /wheels/constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu \
    "$(ls /wheels/cvport-*.whl)[export]"
USER cvport

# Without --target, the smaller one.
FROM base

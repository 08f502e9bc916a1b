# The image of every Millrace service. Nothing but the locked packages and our own code is in it.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
# Another index for torch, such as torch's own CPU index; empty takes the locked wheels of PyPI.
ARG TORCH_INDEX=""
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /build
COPY requirements-uv.txt requirements.txt requirements-dev.txt scripts/install-locked ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-uv.txt \
 && python -m venv --without-pip /opt/millrace \
 && python -m venv --without-pip /opt/builder
RUN --mount=type=cache,target=/root/.cache/uv \
    ./install-locked /opt/millrace/bin/python requirements.txt "${TORCH_INDEX}"
RUN --mount=type=cache,target=/root/.cache/uv \
    awk '/^[^ #]/ { keep = /^(hatchling|packaging|pathspec|pluggy|trove-classifiers)==/ } keep' \
        requirements-dev.txt > build-requirements.txt \
 && uv pip install --python /opt/builder/bin/python --no-deps --require-hashes \
        -r build-requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY streams streams
COPY producers producers
COPY consumers consumers
COPY downstream downstream
COPY millrace millrace
RUN uv build --wheel --no-build-isolation --python /opt/builder/bin/python --out-dir dist \
 && uv pip install --python /opt/millrace/bin/python --no-deps dist/*.whl

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/millrace /opt/millrace
ENV PATH=/opt/millrace/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MILLRACE_CACHE=/cache \
    XDG_CACHE_HOME=/cache \
    HF_HOME=/cache/huggingface \
    NUMBA_CACHE_DIR=/cache/numba
# Named volumes take their owner from these folders.
RUN groupadd --gid 10001 millrace \
 && useradd --uid 10001 --gid 10001 --create-home millrace \
 && install -d -o millrace -g millrace /snapshots /cache /cache/huggingface /cache/numba
# By number, so that whoever starts the container can see that it is not root.
USER 10001:10001
WORKDIR /home/millrace
ENTRYPOINT ["millrace"]
CMD ["--help"]

# One image, two commands: the web server and the worker.
FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 VERDICT_DATA=/data
RUN apt-get update && apt-get install -y --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home verdict && mkdir /data && chown verdict /data
WORKDIR /app
COPY pyproject.toml README.md ./
COPY config config
COPY experiments experiments
COPY workers workers
# The hash of the code in this image: docker build --build-arg VERDICT_COMMIT=$(git rev-parse HEAD)
ARG VERDICT_COMMIT=
ENV VERDICT_COMMIT=$VERDICT_COMMIT

FROM base AS web
RUN pip install --editable ".[web,s3]"
COPY . .
RUN python manage.py collectstatic --noinput && rm -rf /data/*
USER verdict
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["sh", "-c", "python manage.py migrate --noinput && exec python -m config.web_server --host 0.0.0.0 --port 8000"]

FROM base AS worker
RUN pip install --editable ".[workers,s3]"
COPY . .
USER verdict
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s CMD ["python", "manage.py", "node_health"]
CMD ["python", "manage.py", "worker", "--queues", "cpu"]

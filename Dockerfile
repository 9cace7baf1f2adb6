# Serving only: no torch, no root. Runs on a read-only root file system, with a /tmp for uploads of more than 1 MB:
#   docker build -t rank-coding-kws .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL -p 8000:8000 rank-coding-kws
# The bundled model is served; models of your own go to /app/models, one directory each: -v ./models:/app/models:ro
# For Home Assistant add -p 10400:10400 -e RC_WYOMING=tcp://0.0.0.0:10400
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY clients clients
COPY models models
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir '.[media,wyoming]'

FROM python:${PYTHON}-slim
COPY --from=build /venv /venv
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 RC_HOST=0.0.0.0 RC_PORT=8000
USER 65534:65534
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "import os, ssl, urllib.request; \
    address = '://127.0.0.1:' + os.environ['RC_PORT'] + '/healthz'; \
    scheme = 'https' if os.environ.get('RC_TLS_CERT') else 'http'; \
    context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE; \
    handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context); \
    urllib.request.build_opener(*handlers).open(scheme + address, timeout=2)"]
CMD ["rc-serve"]

# The Sapphire app, without a GPU: it asks a model server beside it (see compose.yaml and docs/server.md) or runs the embedded model.
FROM python:3.11-slim

# A user of its own; the data lies in a volume that belongs to it.
RUN useradd --create-home --uid 10001 sapphire && mkdir /data && chown sapphire:sapphire /data
WORKDIR /app

COPY requirements-app.txt pyproject.toml ./
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements-app.txt

COPY sapphire sapphire
COPY models models
COPY pages pages
COPY .streamlit .streamlit
COPY app.py ./
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --editable .

USER sapphire
# The name under which readers open the app: connections from pages of other names are refused. Unset, Streamlit would ask a service of others for
# this machine's address.
ENV SAPPHIRE_HOME=/data STREAMLIT_BROWSER_SERVER_ADDRESS=localhost
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]

# Inside the container all addresses: which of the host's is up to compose.yaml, where only this machine's is published.
CMD ["sh", "-c", "python -m sapphire.models && exec streamlit run app.py --server.address 0.0.0.0 --server.fileWatcherType none"]

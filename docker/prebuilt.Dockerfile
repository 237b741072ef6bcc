# The release file as it is, without ten minutes of building it again.
# make release && docker build -f docker/prebuilt.Dockerfile -t launcher target/dist
FROM scratch
COPY launcher /launcher
ENTRYPOINT ["/launcher", "--"]

# The image of one sandbox: the SDK's own, of exactly the version in package.json (a test holds the two together), and our two
# programs beside it. PID 1 stays the SDK's server. Build dist/ first: `npm run build:image`.
FROM docker.io/cloudflare/sandbox:0.12.10

COPY dist/wrapper.js dist/toolbox.js /opt/mooring/
RUN chmod 0755 /opt/mooring && chmod 0444 /opt/mooring/*.js && install -d -m 0700 /var/lib/mooring && install -d /workspace && install -d -m 0711 /workspaces

# Only for local development, where a port must be named to be reached: a wrapper and the program that carries files, of a
# sandbox that has the container for itself and of each seat of a shared one.
EXPOSE 8700-8901

# The image of one sandbox: the SDK's own, of exactly the version in package.json (a test holds the two together), and our two
# programs beside it. PID 1 stays the SDK's server. Build dist/ first: `npm run build:image`.
FROM docker.io/cloudflare/sandbox:0.12.10

# The SDK's server starts interpreters ahead of use that Mooring never uses: without them a container starts a quarter sooner.
ENV PYTHON_POOL_MIN_SIZE=0 JAVASCRIPT_POOL_MIN_SIZE=0 TYPESCRIPT_POOL_MIN_SIZE=0

COPY dist/wrapper.js dist/toolbox.js /opt/mooring/
RUN chmod 0755 /opt/mooring && chmod 0444 /opt/mooring/*.js && install -d -m 0700 /var/lib/mooring && install -d /workspace && install -d -m 0711 /workspaces

# Whom the jobs of a sandbox run as that has its container for itself (src/sandbox/cloudflare/sdk/job-user.ts). It has a name, because
# ssh runs for nobody without one; and the way from root to it is tried here, because a wrapper without it does not keep jobs apart.
RUN groupadd --gid 1500 mooring \
    && useradd --uid 1500 --gid 1500 --no-create-home --home-dir /home/mooring --shell /usr/sbin/nologin mooring \
    && install -d -o 1500 -g 1500 -m 0700 /home/mooring \
    && setpriv --reuid=1500 --regid=1500 --clear-groups --no-new-privs node /opt/mooring/toolbox.js 2>&1 | grep -q "There is no tool"

# Only for local development, where a port must be named to be reached: a wrapper and the program that carries files, of a
# sandbox that has the container for itself and of each seat of a shared one.
EXPOSE 8700-8901

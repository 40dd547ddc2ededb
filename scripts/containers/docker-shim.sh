#!/bin/sh
# The docker command line for wrangler (WRANGLER_DOCKER_BIN). wrangler pulls the image of its network sidecar at each start; ours is made
# on this machine and no registry has it, so a pull succeeds when the engine already has the image. Builds drop the flags that
# only newer engines know. Everything else goes to docker unchanged.
case "$1" in
pull)
  exec docker image inspect --format '{{.Id}}' "$2"
  ;;
build)
  shift
  for flag in "$@"; do
    shift
    case "$flag" in
    --load | --provenance=*) continue ;;
    --platform) skip=1; continue ;;
    esac
    if [ "${skip:-}" = 1 ]; then skip=; continue; fi
    set -- "$@" "$flag"
  done
  DOCKER_BUILDKIT=0 exec docker build "$@"
  ;;
esac
exec docker "$@"

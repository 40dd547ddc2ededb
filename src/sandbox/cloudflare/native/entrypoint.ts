/**
 * What a container starts with: a shell as PID 1, and a loader in Node. Nothing of ours is in the image, so any image with a POSIX shell
 * and Node serves, and the agent is never older than the Worker that launches it.
 *
 * PID 1 is a shell because Node cannot reap processes that it did not start. It takes a megabyte, and:
 * - exits 0 when it finds that this launch was booted before, so that an engine that restarts it revives nothing;
 * - runs the loader, then the agent; reaps every orphan; passes TERM on; exits 0 when the agent has ended, which ends the container;
 * - ends the container at a deadline, which its child watches. The first deadline is for the order to come; then the agent moves it
 *   with each renewal. So with the control plane gone nothing outlives TTL + grace, not even a frozen agent.
 *
 * The loader takes one request with an order and a bundle whose digest it was started with. Nobody else is in the container then.
 */
import { agentPaths, leanNodeFlags } from "../../../protocol/sandbox/agent-paths.ts";
import { markers } from "../../../protocol/sandbox/markers.ts";
import { wrapperPort } from "../../../protocol/sandbox/toolbox.ts";

/** `$1`: the loader; `$2`: the bundle's digest; `$3`: seconds until an order must have come; `$4`: where the agent keeps its things. */
const initScript = `
run=$4
mark="$run/booted.$MOORING_LAUNCH"
[ -e "$mark" ] && exit 0
mkdir -p "$run" && : > "$mark" || exit 0
read -r up rest < /proc/uptime
echo "$((\${up%.*} + $3))" > "$run/deadline"
apart=
for place in /usr/bin/setpriv /bin/setpriv; do
  if [ -x "$place" ]; then apart="$place --no-new-privs --"; break; fi
done
agent=
trap 'kill -TERM "$agent" 2>/dev/null' TERM INT
trap 'kill -KILL "$agent" 2>/dev/null; exit 0' USR1
(
  trap - TERM INT USR1
  by=0
  while kill -0 "$$" 2>/dev/null; do
    sleep 1
    read -r next < "$run/deadline" && by=$next
    read -r up rest < /proc/uptime
    [ "\${up%.*}" -le "$by" ] || kill -USR1 "$$"
  done
) < /dev/null > /dev/null 2>&1 &
ended() { while kill -0 "$agent" 2>/dev/null; do wait "$agent"; code=$?; done; }
$apart node -e "$1" "$2" "$run" < /dev/null &
agent=$! code=1
ended
[ "$code" = 0 ] && exec 4< "$run/order" || exit 0
rm -f "$run/order"
$apart node ${leanNodeFlags.join(" ")} "$run/wrapper.js" agent <&4 4<&- >> "$run/agent.out" 2>&1 &
agent=$!
exec 4<&-
ended
exit 0
`;

/** The order is the first `mooring-order-bytes` bytes of the body, the bundle the rest. */
const loaderScript = `
const crypto = require("crypto"), fs = require("fs"), http = require("http");
const [, digest, run] = process.argv;
let taken = false;
const server = http.createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("error", () => {});
  request.on("end", () => {
    response.setHeader("connection", "close");
    const body = Buffer.concat(chunks), cut = Number(request.headers["mooring-order-bytes"]);
    const bundle = body.subarray(cut);
    const fits = request.method === "PUT" && cut > 0 && crypto.createHash("sha256").update(bundle).digest("hex") === digest;
    if (!fits || taken) return void response.writeHead(fits ? 409 : 403).end("refused");
    taken = true;
    const programs = JSON.parse(bundle.toString());
    for (const name of ["wrapper", "toolbox"]) fs.writeFileSync(run + "/" + name + ".js", programs[name], { mode: 0o444 });
    fs.writeFileSync(run + "/order", body.subarray(0, cut), { mode: 0o600 });
    response.end("taken", () => server.close(() => process.exit(0)));
  });
});
server.listen(Number(process.env.MOORING_PORT), process.env.MOORING_BIND);
`;

export interface EntrypointOrder {
  /** SHA-256 of the bundle that the loader will be given. */
  readonly digest: string;
  readonly orderWithinSeconds: number;
  /** Tests outside of a container have another place. */
  readonly run?: string;
}

export function entrypoint({ digest, orderWithinSeconds, run = agentPaths.run }: EntrypointOrder): string[] {
  return ["/bin/sh", "-c", initScript, "mooring", loaderScript, digest, String(orderWithinSeconds), run];
}

export interface LaunchMarks {
  readonly sessionId: string;
  readonly instanceId: string;
  readonly generation: number;
  /** Of this start: an instance whose start failed may be started once more. */
  readonly launch: string;
}

/** Everybody in the container can read it, so it has no secret. */
export function startEnvironment({ sessionId, instanceId, generation, launch }: LaunchMarks): Record<string, string> {
  return {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    [markers.session]: sessionId,
    [markers.instance]: instanceId,
    [markers.generation]: String(generation),
    [markers.role]: "guardian",
    MOORING_LAUNCH: launch,
    MOORING_PORT: String(wrapperPort),
    MOORING_BIND: "0.0.0.0",
  };
}

/** The platform takes at most 10 labels, names of 1 to 16 bytes and values of at most 64. */
export function startLabels({ sessionId, instanceId, generation, launch }: LaunchMarks): Record<string, string> {
  return { session: sessionId, generation: String(generation), instance: instanceId, launch };
}

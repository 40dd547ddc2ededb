/**
 * Why a figure misses its bar: one sentence for the table of docs/bench.md. docs/performance.md has the whole story. A reason is printed only while its
 * figure misses.
 */
import type { Figure } from "./figure.ts";

const firstCommand =
  "Beside the start of the wrapper: the session and its quota are stored before the launch, and its lease is accepted before the command.";
const inContainers =
  "In the container an agent starts and has to accept its lease before the command; the bare start runs the command in a container without one.";

const reasons: Readonly<Record<string, string>> = {
  "read.throughput":
    "Log line of the request 8 %, view 6 %, route 5 %, headers 4 %, ids and trace 3 %: each is a part of the answer or of what an operator reads.",
  "read.p99":
    "Not found. The middle of the distribution is 1.3 times the floor's; the answer leaves in one piece, so it does not wait for an acknowledgement.",
  "calls.each":
    "A delete tells the index of sessions as well, so that no list shows as running what its caller just ended. Every other call has one.",
  "creates.tenants":
    "Each tenant has a registry, an object with tables of its own, and 100 of them are made on two cores.",
  "local.life":
    "Beside the gap: a launch and a stop are HTTP calls to a host that stores each step and looks through /proc; the bare wrapper is only spawned and signalled. Not taken apart further.",
  "output.memory":
    "Chunks of 128 kB pass the streams of two isolates and are collected late. It does not grow with the amount of output.",
  "list.growth":
    "A label that many sessions have is looked up for each session that the page passes, in an index 100 times the size.",
  "life.rows":
    "The most are the session's own: its row 9, leases 9, tables 9. Every state between two steps is one that a crash may leave.",
  "first-command.sequential": firstCommand,
  "first-command.staggered": `${firstCommand} Sandboxes that come faster than two cores start them wait for their turn, longer by as much as each takes longer.`,
  "first-command.burst": firstCommand,
  "first-command-containers.sequential": inContainers,
  "first-command-containers.staggered": inContainers,
  "first-command-containers.burst": inContainers,
  "gone.many":
    "100 Node processes end on two cores, and each guardian looks through /proc for what its wrapper left. One alone is gone in 0.1 s.",
  "reclaim.slip": "As for 50 deletes at once.",
  "simulation.leaks":
    "One sandbox that was frozen from its start and measured its lease from the thaw. Nothing was called gone too early. A bound from the launch order would let a clock that is set back end healthy ones (decision 0003).",
  "wrapper.start":
    "Guardian and wrapper are two Node processes that start one after the other; the bare server is one.",
  "wrapper.memory": "Two Node processes are 92 MB before a line of ours runs.",
  "simulation.speed": "Each schedule has five sessions or more, and every check runs after each of some 470 steps.",
};

/** null: nobody has found out yet. */
export function reasonOf({ id }: Pick<Figure, "id">): string | null {
  return reasons[id] ?? null;
}

/** The routes of the host. src/protocol/sandbox/host.ts says what each one means. */
import { z } from "zod";
import {
  hostLaunchOrder,
  hostReclaimOrder,
  hostRestoreOrder,
  hostSaveOrder,
  hostStopOrder,
} from "../../../src/protocol/sandbox/host.ts";
import { containerIdText, instanceIdText, sandboxIdText, snapshotNameText } from "../records/state-directory.ts";
import { parsed } from "../refusal.ts";
import type { HostOperations } from "../sandbox-host.ts";
import type { FaultOp } from "./faults.ts";

const retirement = z.strictObject({ generation: z.int() });
const sessionIdText = z.string().min(1).max(64);
const integerText = z
  .string()
  .regex(/^\d{1,16}$/, "A whole number is needed.")
  .transform(Number);

interface Request extends HostOperations {
  /** The first name in the path; "" where there is none. */
  readonly id: string;
  /** The second name in the path; "" where there is at most one. */
  readonly second: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
}

interface Route {
  readonly method: string;
  readonly path: RegExp;
  /** The operation that a fault may be ordered for; null: none. */
  readonly fault: FaultOp | null;
  /** The request names something that is there already. Otherwise the caller must say which control plane it is. */
  readonly isNamed: boolean;
  readonly answer: (request: Request) => Promise<unknown>;
}

const sandboxIdOf = ({ id }: Request): string => parsed(sandboxIdText, id);

export const routes: readonly Route[] = [
  {
    method: "PUT",
    path: /^\/instances\/([^/]+)$/,
    fault: "launch",
    isNamed: false,
    answer: ({ processes, id, body }) => {
      const order = parsed(hostLaunchOrder, body);
      parsed(sandboxIdText, order.sandbox_id);
      parsed(sessionIdText, order.session_id);
      if (order.container !== undefined) parsed(containerIdText, order.container);
      if (order.restore !== undefined)
        for (const name of [order.session_id, order.restore]) parsed(snapshotNameText, name);
      return processes.launch(parsed(instanceIdText, id), order);
    },
  },
  {
    method: "GET",
    path: /^\/instances\/([^/]+)$/,
    fault: "endpoint",
    isNamed: true,
    answer: ({ processes, id }) => processes.endpoint(parsed(instanceIdText, id)),
  },
  {
    method: "PUT",
    path: /^\/instances\/([^/]+)\/restore$/,
    fault: "restore",
    isNamed: false,
    answer: ({ files, id, body }) => {
      const order = parsed(hostRestoreOrder, body);
      parsed(sandboxIdText, order.sandbox_id);
      if (order.container !== undefined) parsed(containerIdText, order.container);
      for (const name of [order.session_id, order.snapshot]) parsed(snapshotNameText, name);
      return files.restore(parsed(instanceIdText, id), order);
    },
  },
  {
    method: "POST",
    path: /^\/sandboxes\/([^/]+)\/retire$/,
    fault: "retire",
    isNamed: true,
    answer: (request) => request.processes.retire(sandboxIdOf(request), parsed(retirement, request.body).generation),
  },
  {
    method: "GET",
    path: /^\/sandboxes\/([^/]+)\/observe$/,
    fault: "observe",
    isNamed: true,
    answer: (request) =>
      request.processes.observe(sandboxIdOf(request), {
        session: parsed(sessionIdText, request.query.get("session_id")),
        generation: parsed(integerText, request.query.get("generation")),
        instance: null,
      }),
  },
  {
    method: "POST",
    path: /^\/sandboxes\/([^/]+)\/stop$/,
    fault: "stop",
    isNamed: true,
    answer: (request) => {
      sandboxIdOf(request);
      const order = parsed(hostStopOrder, request.body);
      const aim = { session: order.session_id, generation: order.generation, instance: order.instance_id };
      return request.processes.stop(aim, order.grace_ms);
    },
  },
  {
    method: "PUT",
    path: /^\/snapshots\/([^/]+)\/([^/]+)$/,
    fault: "save",
    isNamed: true,
    answer: ({ files, id, second, body }) => {
      const order = parsed(hostSaveOrder, body);
      parsed(sandboxIdText, order.sandbox_id);
      return files.save(parsed(snapshotNameText, id), parsed(snapshotNameText, second), order);
    },
  },
  {
    method: "GET",
    path: /^\/snapshots\/([^/]+)\/([^/]+)$/,
    fault: null,
    isNamed: true,
    answer: ({ files, id, second }) =>
      files.storedSnapshot(parsed(snapshotNameText, id), parsed(snapshotNameText, second)),
  },
  {
    method: "DELETE",
    path: /^\/snapshots\/([^/]+)\/([^/]+)$/,
    fault: "remove",
    isNamed: true,
    answer: ({ files, id, second }) =>
      files.removeSnapshot(parsed(snapshotNameText, id), parsed(snapshotNameText, second)),
  },
  {
    method: "GET",
    path: /^\/sandboxes\/([^/]+)\/logs$/,
    fault: null,
    isNamed: true,
    answer: (request) =>
      request.files.logs(
        sandboxIdOf(request),
        Math.min(parsed(integerText, request.query.get("tail_bytes") ?? "65536"), 1_048_576),
      ),
  },
  {
    method: "GET",
    path: /^\/sandboxes\/([^/]+)\/resources$/,
    fault: null,
    isNamed: true,
    answer: (request) => request.files.resources(sandboxIdOf(request)),
  },
  {
    method: "DELETE",
    path: /^\/sandboxes\/([^/]+)$/,
    fault: null,
    isNamed: true,
    answer: (request) => request.files.destroy(sandboxIdOf(request)),
  },
  {
    method: "POST",
    path: /^\/containers\/([^/]+)\/retire$/,
    fault: "retire",
    isNamed: true,
    answer: ({ processes, id }) => processes.retireContainer(parsed(containerIdText, id)),
  },
  {
    method: "GET",
    path: /^\/containers\/([^/]+)\/observe$/,
    fault: "observe",
    isNamed: true,
    answer: ({ processes, id }) => processes.observeContainer(parsed(containerIdText, id)),
  },
  {
    method: "DELETE",
    path: /^\/containers\/([^/]+)$/,
    fault: null,
    isNamed: true,
    answer: ({ files, id }) => files.destroyContainer(parsed(containerIdText, id)),
  },
  { method: "GET", path: /^\/space()$/, fault: "space", isNamed: false, answer: ({ files }) => files.space() },
  {
    method: "POST",
    path: /^\/space\/reclaim()$/,
    fault: "reclaim",
    isNamed: false,
    answer: ({ files, body }) => files.reclaim(parsed(hostReclaimOrder, body).session_id),
  },
  { method: "GET", path: /^\/files()$/, fault: null, isNamed: false, answer: ({ files }) => files.files() },
  {
    method: "GET",
    path: /^\/sandboxes()$/,
    fault: null,
    isNamed: false,
    answer: ({ processes }) => processes.enumerate(),
  },
];

/** Servers in the sandbox: the ports on which something listens, and addresses that open them. */
import { useSignal } from "@preact/signals";
import type { AnswerOf } from "../../../../protocol/contracts/contract-types.ts";
import type { ProblemBody } from "../../../../protocol/problem.ts";
import { act, problemIn, read } from "../../../data/call.ts";
import { now } from "../../../data/clock.ts";
import { useLive } from "../../../data/live.ts";
import type { Subject } from "../../../data/session.ts";
import { Copy, Empty, Problem, Waiting } from "../../../parts/bits.tsx";
import { Table, unseen } from "../../../parts/table.tsx";
import { duration, utc } from "../../../words/time.ts";
import { OnlyOwn } from "./only-own.tsx";

type Shared = AnswerOf<"sharePort">;

export function Ports({ subject }: { readonly subject: Subject }) {
  return (
    <OnlyOwn subject={subject} what="Ports">
      <Listening subject={subject} />
    </OnlyOwn>
  );
}

function Listening({ subject: { base } }: { readonly subject: Subject }) {
  const live = useLive(`ports ${base}`, (signal) => read<"listPorts">(`${base}/ports`, signal), 5_000);
  const { data, problem, at, loading } = live.state.value;
  const made = useSignal<readonly Shared[]>([]);
  const share = async (order: object): Promise<Shared> => {
    const shared = await act<"sharePort">("POST", `${base}/ports`, { body: order });
    made.value = [shared, ...made.value.filter(({ url }) => url !== shared.url)];
    return shared;
  };
  return (
    <>
      {problem !== null && <Problem problem={problem} stale={data === null ? null : at} />}
      <section class="card ports" aria-label="Listening">
        <header>
          <h2>Who listens</h2>
          <span class="small faint">asked every five seconds; that does not keep the session alive</span>
        </header>
        {loading && data === null && <Waiting lines={3} />}
        {data !== null && data.data.length === 0 && (
          <Empty title="Nothing listens in it.">
            Start a server as a job or in the terminal, such as <code>python3 -m http.server 8000</code>.
          </Empty>
        )}
        {data !== null && data.data.length > 0 && (
          <Table scrolls heads={["Port", "Program", unseen("Open")]}>
            {data.data.map(({ port, pid, program }) => (
              <tr key={port}>
                <td>
                  <b>{port}</b>
                </td>
                <td>
                  <code>{program}</code> <span class="faint small">pid {pid}</span>
                </td>
                <td class="number">
                  <OpenPort port={port} share={share} />
                </td>
              </tr>
            ))}
          </Table>
        )}
      </section>
      <Share share={share} />
      {made.value.length > 0 && (
        <section class="card" aria-label="Addresses">
          <header>
            <h2>Addresses that were made here</h2>
            <span class="small faint">they are not kept: who needs one again makes another</span>
          </header>
          <ul class="lines">
            {made.value.map((each) => (
              <Address key={each.url} shared={each} />
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

type MakeShare = (order: object) => Promise<Shared>;

function OpenPort({ port, share }: { readonly port: number; readonly share: MakeShare }) {
  const problem = useSignal<ProblemBody | null>(null);
  async function open(): Promise<void> {
    problem.value = null;
    try {
      const { url } = await share({ port });
      // `noopener`: nothing that a sandbox serves may reach this page.
      window.open(url, "_blank", "noopener,noreferrer");
    } catch (error) {
      problem.value = problemIn(error);
    }
  }
  return (
    <>
      <button type="button" onClick={() => void open()}>
        Open in a tab
      </button>
      {problem.value !== null && <Problem problem={problem.value} />}
    </>
  );
}

const spans = [
  [600, "10 minutes"],
  [3_600, "an hour"],
  [28_800, "8 hours"],
  [86_400, "a day"],
] as const;

function Share({ share }: { readonly share: MakeShare }) {
  const port = useSignal("");
  const seconds = useSignal(3_600);
  const isPublic = useSignal(false);
  const problem = useSignal<ProblemBody | null>(null);
  async function make(event: Event): Promise<void> {
    event.preventDefault();
    problem.value = null;
    try {
      await share({ port: Number(port.value), ttl_seconds: seconds.value, public: isPublic.value });
    } catch (error) {
      problem.value = problemIn(error);
    }
  }
  return (
    <form class="card" aria-label="Make an address" onSubmit={(event) => void make(event)}>
      <header>
        <h2>Make an address to give away</h2>
      </header>
      <div class="body toolbar">
        <label class="check">
          Port
          <input
            class="short"
            inputMode="numeric"
            pattern="[0-9]{1,5}"
            placeholder="8000"
            required
            value={port.value}
            onInput={(event) => (port.value = event.currentTarget.value)}
          />
        </label>
        <label class="check">
          good for
          <select
            value={String(seconds.value)}
            onChange={(event) => (seconds.value = Number(event.currentTarget.value))}
          >
            {spans.map(([value, words]) => (
              <option key={value} value={String(value)}>
                {words}
              </option>
            ))}
          </select>
        </label>
        <label class="check" title="For webhooks and frames: the host name alone opens the port, without a token">
          <input
            type="checkbox"
            checked={isPublic.value}
            onChange={(event) => (isPublic.value = event.currentTarget.checked)}
          />
          public
        </label>
        <button type="submit" class="primary">
          Make it
        </button>
      </div>
      {problem.value !== null && <Problem problem={problem.value} />}
    </form>
  );
}

function Address({ shared }: { readonly shared: Shared }) {
  const left = Date.parse(shared.ends_at) - now.value;
  return (
    <li>
      <b>{shared.port}</b>{" "}
      <a href={shared.url} target="_blank" rel="noopener noreferrer">
        <code>{shared.url.replace(/\?.*$/, "")}</code>
      </a>{" "}
      <Copy text={shared.url} label={`Copy the address of port ${shared.port}`} />
      <div class="small faint">
        {left <= 0 ? (
          "It has ended."
        ) : (
          <span title={utc(shared.ends_at)}>
            {shared.public
              ? "Whoever has it opens the port"
              : "It carries a token that opens this port and nothing else"}
            , for {duration(left)}; it dies with {shared.public ? "the session" : "the API key and the session"}.
          </span>
        )}
      </div>
    </li>
  );
}

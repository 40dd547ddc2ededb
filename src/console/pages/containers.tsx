/** Shared containers: their members, how far the end of each is, and the acts for one that is stuck. */
import { useSignal } from "@preact/signals";
import { quoted } from "../../client/wire/command-of.ts";
import type { AnswerOf } from "../../protocol/contracts/contract-types.ts";
import { act, read, readTagged } from "../data/call.ts";
import { useLive } from "../data/live.ts";
import { route, setQuery } from "../data/route.ts";
import { ActDialog } from "../parts/act.tsx";
import { Chip, Empty, For, Id, Reading, When } from "../parts/bits.tsx";
import { Page } from "../parts/shell.tsx";
import { number, Table } from "../parts/table.tsx";
import { counted, plain, type Tone } from "../words/states.ts";

const phaseTone: Readonly<Record<string, Tone>> = { open: "good", stopping: "warn", gone: "quiet" };

export function Containers() {
  const id = route.value.subject;
  return id === "" ? <List /> : <One id={id} />;
}

function List() {
  const phase = route.value.query.get("phase") ?? "";
  const cursor = route.value.query.get("cursor") ?? "";
  const query = new URLSearchParams({
    limit: "50",
    ...(phase === "" ? {} : { phase }),
    ...(cursor === "" ? {} : { cursor }),
  });
  const live = useLive(
    `containers ${query}`,
    (signal) => read<"listContainers">(`/v1/admin/containers?${query}`, signal),
    10_000,
  );
  const { data } = live.state.value;
  return (
    <Page
      title="Shared containers"
      lead="One container with the sandboxes of several sessions of a tenant."
      command={`mooring api list-containers${phase === "" ? "" : ` --phase ${phase}`}`}
    >
      <div class="toolbar">
        <select
          aria-label="Phase"
          value={phase}
          onChange={(event) => setQuery({ phase: event.currentTarget.value, cursor: null }, "push")}
        >
          <option value="">Any phase</option>
          {["open", "stopping", "gone"].map((each) => (
            <option key={each} value={each}>
              {each}
            </option>
          ))}
        </select>
      </div>
      <Reading of={live.state.value} />
      {data !== null && (
        <section class="card" aria-label="Containers">
          {data.data.length === 0 ? (
            <Empty title="There is none.">
              A session made with <code>isolation: "shared"</code> founds one.
            </Empty>
          ) : (
            <Table kind="rows" heads={["Container", "Tenant", "Phase", "Since", number("Members"), "End"]}>
              {data.data.map((each) => (
                <tr key={each.id}>
                  <td>
                    <Id of={each.id} href={`/console/containers/${each.id}?tenant=${each.tenant}`} />
                  </td>
                  <td data-label="Tenant">{each.tenant}</td>
                  <td>
                    <Chip tone={phaseTone[each.phase] ?? "quiet"}>{each.phase}</Chip>
                  </td>
                  <td data-label="Since">
                    <When at={each.since} />
                  </td>
                  <td class="number" data-label="Members">
                    {each.members.length}
                  </td>
                  <td class={`small ${each.end === null ? "blank" : ""}`}>
                    {each.end === null
                      ? "–"
                      : (each.end.evidence ?? each.end.last_error ?? counted(each.end.attempts, "attempt"))}
                  </td>
                </tr>
              ))}
            </Table>
          )}
          {data.next_cursor !== null && (
            <div class="pager">
              <span />
              <button type="button" onClick={() => setQuery({ cursor: data.next_cursor }, "push")}>
                More
              </button>
            </div>
          )}
        </section>
      )}
    </Page>
  );
}

type Action = "retry_stop" | "assert_absent";

function One({ id }: { readonly id: string }) {
  const tenant = route.value.query.get("tenant");
  const path = `/v1/admin/containers/${id}`;
  const asked = tenant === null ? "" : `?tenant=${encodeURIComponent(tenant)}`;
  const live = useLive(`container ${id}`, (signal) => readTagged<"inspectContainer">(`${path}${asked}`, signal), 5_000);
  const asking = useSignal<Action | null>(null);
  const { data } = live.state.value;
  const container = data?.body ?? null;
  const stuck = container?.phase === "stopping";
  return (
    <Page
      title={
        <>
          <span class="faint small">Shared container</span> <Id of={id} />
        </>
      }
      lead={
        container === null ? undefined : (
          <>
            <Chip tone={phaseTone[container.phase] ?? "quiet"}>{container.phase}</Chip> <For since={container.since} />,
            of {container.tenant}
          </>
        )
      }
      command={`mooring api inspect-container ${id}`}
      actions={
        stuck ? (
          <>
            <button type="button" onClick={() => (asking.value = "retry_stop")}>
              Try to end it again
            </button>
            <button type="button" class="danger" onClick={() => (asking.value = "assert_absent")}>
              Say that it is gone
            </button>
          </>
        ) : undefined
      }
    >
      <Reading of={live.state.value} />
      {container !== null && <Details container={container} />}
      {asking.value !== null && data !== null && (
        <ActDialog
          onClose={() => {
            asking.value = null;
            live.refresh();
          }}
          order={{
            title: asking.value === "retry_stop" ? "Try to end it again" : "Say that it is gone",
            danger: asking.value === "assert_absent",
            button: asking.value === "retry_stop" ? "Try again" : "It is gone",
            reason: "required",
            touches: (
              <p>
                <Id of={id} /> with {counted(data.body.members.length, "member")} not proven gone.{" "}
                {asking.value === "assert_absent"
                  ? "Your word frees its capacity; it is kept apart from proof, and Mooring goes on looking hourly."
                  : "A new round of attempts begins at once."}
              </p>
            ),
            command: `mooring api resolve-container ${id} --action ${asking.value} --if-match ${quoted(data.etag)} --reason "…"`,
            run: async (reason) => {
              await act<"resolveContainer">("POST", `${path}/resolve${asked}`, {
                body: { action: asking.value, reason },
                headers: { "if-match": data.etag },
              });
              return <p>It is stored.</p>;
            },
          }}
        />
      )}
    </Page>
  );
}

function Details({ container }: { readonly container: AnswerOf<"inspectContainer"> }) {
  return (
    <>
      {container.takes_no_newcomers !== null && (
        <div class="note warn">Nobody is let in: {container.takes_no_newcomers}</div>
      )}
      {container.end !== null && (
        <section class="card" aria-label="Its end">
          <header>
            <h2>Its end</h2>
            <span class="small faint">
              asked <When at={container.end.requested_at} />, {counted(container.end.attempts, "attempt")}
            </span>
          </header>
          <div class="body">
            {container.end.evidence !== null && <p class="note good">{container.end.evidence}</p>}
            {container.end.last_error !== null && <p class="note warn">Not proven gone: {container.end.last_error}</p>}
            {container.end.asserted_absent !== null && (
              <p>
                {container.end.asserted_absent.by} said that it is gone: {container.end.asserted_absent.reason}
              </p>
            )}
            <ul class="small">
              {container.end.observations.map((look) => (
                <li key={look.at}>
                  <When at={look.at} />: <b>{look.answer}</b> {look.detail}
                </li>
              ))}
            </ul>
          </div>
        </section>
      )}
      <section class="card" aria-label="Members">
        <header>
          <h2>Members that are not proven gone</h2>
        </header>
        {container.members.length === 0 ? (
          <Empty title="Nobody is in it." />
        ) : (
          <Table kind="rows" heads={["Session", "State", "Since"]}>
            {container.members.map((each) => (
              <tr key={each.sandbox_id}>
                <td>
                  <Id of={each.session_id} href={`/console/sessions/${each.session_id}`} />
                </td>
                <td>{plain(each.state)}</td>
                <td data-label="Since">
                  <When at={each.since} />
                </td>
              </tr>
            ))}
          </Table>
        )}
      </section>
    </>
  );
}

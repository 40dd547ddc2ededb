/** One webhook: its deliveries and its acts. */
import { type Signal, useSignal } from "@preact/signals";
import type { AnswerOf } from "../../protocol/contracts/contract-types.ts";
import { act, problemIn, read } from "../data/call.ts";
import { useLive } from "../data/live.ts";
import { ActDialog, type ActOrder } from "../parts/act.tsx";
import { announce, Chip, Copy, Empty, For, Id, Reading, When } from "../parts/bits.tsx";
import { Page } from "../parts/shell.tsx";
import { number, Table, unseen } from "../parts/table.tsx";
import { counted } from "../words/states.ts";
import { fineDuration } from "../words/time.ts";

type Webhook = AnswerOf<"getWebhook">;

export function Secret({ secret }: { readonly secret: string }) {
  return (
    <p>
      This is shown once. Keep it where your receiver reads it: <code>{secret}</code>{" "}
      <Copy text={secret} label="Copy the secret" />
    </p>
  );
}

export function Standing({ hook }: { readonly hook: Webhook }) {
  if (hook.status === "disabled") return <Chip tone="bad">off</Chip>;
  return hook.failing_since === null ? <Chip tone="good">works</Chip> : <Chip tone="warn">failing</Chip>;
}

export function OneWebhook({ id }: { readonly id: string }) {
  const base = `/v1/webhooks/${id}`;
  const live = useLive(
    `webhook ${id}`,
    async (signal) => {
      const [hook, deliveries] = await Promise.all([
        read<"getWebhook">(base, signal),
        read<"listDeliveries">(`${base}/deliveries?limit=50`, signal),
      ]);
      return { hook, deliveries };
    },
    5_000,
  );
  const order = useSignal<ActOrder | null>(null);
  const { data } = live.state.value;
  /** Says what came of it. A refusal is said as well: a button that does nothing would be pressed again. */
  const told = (done: Promise<unknown>, words: string): void =>
    void done
      .then(() => words)
      .catch((error: unknown) => problemIn(error).detail)
      .then((said) => {
        announce(said);
        live.refresh();
      });
  return (
    <Page
      title={data?.hook.url ?? <Id of={id} />}
      lead={
        data === null ? undefined : (
          <>
            <Standing hook={data.hook} /> {data.hook.failing_since !== null && <For since={data.hook.failing_since} />}{" "}
            {[data.hook.disabled?.reason, data.hook.description].filter(Boolean).join(" · ")}
          </>
        )
      }
      command={`mooring api get-webhook ${id}`}
      actions={data === null ? undefined : <Acts base={base} hook={data.hook} order={order} told={told} />}
    >
      <Reading of={live.state.value} />
      {data !== null && (
        <section class="card" aria-label="Deliveries">
          <header>
            <h2>Deliveries</h2>
          </header>
          {data.deliveries.data.length === 0 ? (
            <Empty title="Nothing was sent yet.">Send a test: it travels like any event.</Empty>
          ) : (
            <Table kind="rows" heads={["Event", "State", "Made", number("Attempts"), "Last answer", unseen("Act")]}>
              {data.deliveries.data.map((each) => {
                const last = each.attempts.at(-1);
                return (
                  <tr key={each.id}>
                    <td>
                      <b>{each.type}</b>
                      {each.session_id !== null && (
                        <div>
                          <Id of={each.session_id} href={`/console/sessions/${each.session_id}`} />
                        </div>
                      )}
                    </td>
                    <td>
                      <Chip tone={each.state === "delivered" ? "good" : each.state === "failed" ? "bad" : "busy"}>
                        {each.state}
                      </Chip>
                    </td>
                    <td data-label="Made">
                      <When at={each.created_at} />
                    </td>
                    <td class="number" data-label="Attempts">
                      {each.attempt_count}
                    </td>
                    <td class="small" data-label="Last answer">
                      {last === undefined
                        ? "–"
                        : `${last.status ?? "no answer"}, after ${fineDuration(last.duration_ms)}`}
                      {last?.error != null && <div>{last.error}</div>}
                      {each.next_attempt_at !== null && (
                        <div class="faint">
                          next <When at={each.next_attempt_at} />
                        </div>
                      )}
                    </td>
                    <td>
                      <button
                        type="button"
                        class="tiny"
                        onClick={() =>
                          told(act<"redeliver">("POST", `${base}/deliveries/${each.id}/redeliver`), "It is queued.")
                        }
                      >
                        Send again
                      </button>
                    </td>
                  </tr>
                );
              })}
            </Table>
          )}
        </section>
      )}
      {order.value !== null && (
        <ActDialog
          order={order.value}
          onClose={() => {
            order.value = null;
            live.refresh();
          }}
        />
      )}
    </Page>
  );
}

function Acts({
  base,
  hook,
  order,
  told,
}: {
  readonly base: string;
  readonly hook: Webhook;
  readonly order: Signal<ActOrder | null>;
  readonly told: (done: Promise<unknown>, words: string) => void;
}) {
  const enabled = hook.status === "active";
  return (
    <>
      <button type="button" onClick={() => told(act<"testWebhook">("POST", `${base}/test`), "A test is queued.")}>
        Send a test
      </button>
      <button
        type="button"
        onClick={() =>
          (order.value = {
            title: "A new secret",
            danger: false,
            button: "Rotate",
            reason: null,
            touches: <p>For a day both secrets sign: a receiver that knows either verifies.</p>,
            command: `mooring api rotate-webhook-secret ${hook.id}`,
            run: async () => <Secret secret={(await act<"rotateWebhookSecret">("POST", `${base}/rotate`)).secret} />,
          })
        }
      >
        New secret …
      </button>
      <button
        type="button"
        onClick={() =>
          (order.value = {
            title: enabled ? "Switch it off" : "Switch it on",
            danger: false,
            button: enabled ? "Switch off" : "Switch on",
            reason: null,
            touches: (
              <p>
                {enabled
                  ? "Nothing is sent, and new events are not kept for it."
                  : "What waits is sent, and everything from now on."}
              </p>
            ),
            command: `mooring api change-webhook ${hook.id} --enabled ${!enabled}`,
            run: async () => {
              await act<"changeWebhook">("PATCH", base, { body: { enabled: !enabled } });
              return <p>Done.</p>;
            },
          })
        }
      >
        {enabled ? "Switch off …" : "Switch on …"}
      </button>
      <button
        type="button"
        class="danger"
        onClick={() =>
          (order.value = {
            title: "Delete it",
            danger: true,
            button: "Delete",
            reason: null,
            touches: (
              <p>
                {hook.url} is deleted, and with it{" "}
                {counted(hook.pending, "delivery that waits", "deliveries that wait")}.
              </p>
            ),
            command: `mooring api delete-webhook ${hook.id}`,
            run: async () => {
              await act<"deleteWebhook">("DELETE", base);
              return (
                <p>
                  It is gone. <a href="/console/webhooks">Back to the list</a>
                </p>
              );
            },
          })
        }
      >
        Delete …
      </button>
    </>
  );
}

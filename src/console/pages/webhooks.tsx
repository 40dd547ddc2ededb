/** The tenant's webhooks, and whether they work. */
import { useSignal } from "@preact/signals";
import { quoted } from "../../client/wire/command-of.ts";
import { act, read } from "../data/call.ts";
import { useLive } from "../data/live.ts";
import { route } from "../data/route.ts";
import { ActDialog } from "../parts/act.tsx";
import { Empty, Reading } from "../parts/bits.tsx";
import { Page } from "../parts/shell.tsx";
import { OneWebhook, Secret, Standing } from "./webhook.tsx";

export function Webhooks() {
  const id = route.value.subject;
  return id === "" ? <List /> : <OneWebhook id={id} />;
}

function List() {
  const live = useLive("webhooks", (signal) => read<"listWebhooks">("/v1/webhooks", signal), 10_000);
  const url = useSignal("");
  const asking = useSignal(false);
  const { data } = live.state.value;
  return (
    <Page
      title="Webhooks"
      lead="Being told instead of asking: signed, in order, at least once."
      command="mooring api list-webhooks"
    >
      <form
        class="toolbar"
        onSubmit={(event) => {
          event.preventDefault();
          asking.value = true;
        }}
      >
        <div class="search prompt">
          <input
            type="url"
            aria-label="Address of a new webhook"
            placeholder="https://example.com/hook"
            value={url.value}
            onInput={(event) => (url.value = event.currentTarget.value)}
          />
        </div>
        <button type="submit" class="primary" disabled={url.value === ""}>
          Add …
        </button>
      </form>
      <Reading of={live.state.value} lines={3} />
      {data !== null && (
        <section class="card" aria-label="Webhooks">
          {data.data.length === 0 ? (
            <Empty title="There is none.">Add an address above: every event of your sessions is sent there.</Empty>
          ) : (
            <ul class="lines">
              {data.data.map((hook) => (
                <li key={hook.id}>
                  <Standing hook={hook} />{" "}
                  <a href={`/console/webhooks/${hook.id}`}>
                    <b>{hook.url}</b>
                  </a>{" "}
                  <div class="small faint">
                    {hook.events.includes("*") ? "every event" : hook.events.join(", ")}
                    {hook.pending > 0 && `; ${hook.pending} waiting`}
                  </div>
                </li>
              ))}
            </ul>
          )}
        </section>
      )}
      {asking.value && (
        <ActDialog
          onClose={(done) => {
            asking.value = false;
            if (done) {
              url.value = "";
              live.refresh();
            }
          }}
          order={{
            title: "Add a webhook",
            danger: false,
            button: "Add",
            reason: null,
            touches: (
              <p>
                Every event of your sessions is sent to <b>{url.value}</b> from now on.
              </p>
            ),
            command: `mooring api create-webhook --url ${quoted(url.value)}`,
            run: async () => (
              <Secret
                secret={(await act<"createWebhook">("POST", "/v1/webhooks", { body: { url: url.value } })).secret}
              />
            ),
          }}
        />
      )}
    </Page>
  );
}

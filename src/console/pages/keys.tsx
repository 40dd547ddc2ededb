/**
 * API keys: listed and revoked here. They are made with the command line, because this page never sees the secret that
 * signs them.
 */
import { useSignal } from "@preact/signals";
import { act, read } from "../data/call.ts";
import { useLive } from "../data/live.ts";
import { go, route } from "../data/route.ts";
import { ActDialog } from "../parts/act.tsx";
import { Empty, Problem, Waiting, When } from "../parts/bits.tsx";
import { Icon } from "../parts/icon.tsx";
import { Page } from "../parts/shell.tsx";
import { Table } from "../parts/table.tsx";

export function Keys() {
  const tenant = route.value.subject;
  const typed = useSignal(tenant);
  return (
    <Page
      title="API keys"
      lead="A key is signed and stored nowhere: it is listed from its first use on, or once it was revoked."
      command={tenant === "" ? "mooring keys create --help" : `mooring keys list ${tenant}`}
    >
      <form
        class="toolbar"
        onSubmit={(event) => {
          event.preventDefault();
          go(`/console/keys/${encodeURIComponent(typed.value.trim())}`);
        }}
      >
        <div class="search">
          <Icon name="search" />
          <input
            type="search"
            aria-label="Tenant"
            placeholder="Tenant"
            value={typed.value}
            onInput={(event) => (typed.value = event.currentTarget.value)}
          />
        </div>
        <button type="submit" disabled={typed.value.trim() === ""}>
          Show
        </button>
      </form>
      {tenant === "" ? (
        <Empty title="Whose keys?">
          Name a tenant. The <a href="/console/ledger">ledger</a> lists them all.
        </Empty>
      ) : (
        <Known key={tenant} tenant={tenant} />
      )}
    </Page>
  );
}

function Known({ tenant }: { readonly tenant: string }) {
  const live = useLive(
    `keys ${tenant}`,
    (signal) => read<"listKeys">(`/v1/admin/keys/${encodeURIComponent(tenant)}`, signal),
    null,
  );
  const asking = useSignal(false);
  const askingAll = useSignal(false);
  const key = useSignal("");
  const { data, problem, loading } = live.state.value;
  // Somebody may paste a whole key. Only its middle part, which names it, is sent.
  const id =
    /^(?:mrg_[a-z0-9-]+_)?([0-9a-z]{1,9}\.(?:0|[a-z]{1,8})\.[0-9a-z]{10}(?:\.[0-9a-z]{1,9})?)(?:_[0-9a-f]*)?$/.exec(
      key.value.trim(),
    )?.[1] ?? null;
  return (
    <>
      {problem !== null && <Problem problem={problem} />}
      {loading && data === null && <Waiting lines={3} />}
      <section class="card" aria-label="Revoke a key">
        <header>
          <h2>Revoke a key of {tenant}</h2>
        </header>
        <div class="body">
          <form
            class="toolbar"
            onSubmit={(event) => {
              event.preventDefault();
              asking.value = id !== null;
            }}
          >
            <div class="search">
              <Icon name="key" />
              <input
                aria-label="The key, or its middle part"
                spellcheck={false}
                autocomplete="off"
                placeholder="mrg_…, or its middle part"
                value={key.value}
                onInput={(event) => (key.value = event.currentTarget.value)}
              />
            </div>
            <button type="submit" class="danger" disabled={id === null}>
              Revoke …
            </button>
            <button type="button" class="danger" onClick={() => (askingAll.value = true)}>
              Revoke all …
            </button>
          </form>
          <p class="small faint">Only the middle part leaves this page.</p>
        </div>
      </section>
      {data !== null && (
        <section class="card" aria-label="Its keys">
          {data.all_revoked_before !== null && (
            <p class="note warn">
              All keys that were made until <When at={data.all_revoked_before} /> are revoked.
            </p>
          )}
          {data.data.length === 0 ? (
            <Empty title="None of its keys was used or revoked yet." />
          ) : (
            <Table kind="rows" heads={["Key", "May", "Made", "Last used", "Ends", "Revoked"]}>
              {data.data.map((each) => (
                <tr key={each.key_id}>
                  <td>
                    <code>{each.key_id}</code>
                  </td>
                  <td data-label="May">{each.scopes.join(", ") || "all but critical"}</td>
                  {(
                    [
                      ["Made", each.issued_at],
                      ["Last used", each.last_used_at],
                      ["Ends", each.expires_at],
                      ["Revoked", each.revoked_at],
                    ] as const
                  ).map(([label, at]) => (
                    <td key={label} data-label={label} class={at === null ? "blank" : ""}>
                      <When at={at} />
                    </td>
                  ))}
                </tr>
              ))}
            </Table>
          )}
        </section>
      )}
      {askingAll.value && (
        <ActDialog
          onClose={() => {
            askingAll.value = false;
            live.refresh();
          }}
          order={{
            title: "Revoke all keys",
            danger: true,
            button: "Revoke all of them for ever",
            reason: "asked",
            touches: (
              <p>
                Every key of {tenant} that was made until now opens nothing any more, within a minute and for ever, also
                those that are not listed. Keys that are made afterwards work. Its sessions go on.
              </p>
            ),
            command: `mooring keys revoke ${tenant} --all --reason "…"`,
            run: async (reason) => {
              await act<"revokeAllKeys">("DELETE", `/v1/admin/keys/${encodeURIComponent(tenant)}`, {
                body: reason === "" ? {} : { reason },
              });
              return <p>They are revoked.</p>;
            },
          }}
        />
      )}
      {asking.value && id !== null && (
        <ActDialog
          onClose={() => {
            asking.value = false;
            key.value = "";
            live.refresh();
          }}
          order={{
            title: "Revoke this key",
            danger: true,
            button: "Revoke it for ever",
            reason: "asked",
            touches: (
              <p>
                The key <code>{id}</code> of {tenant} opens nothing any more, within a minute and for ever. Its sessions
                go on.
              </p>
            ),
            command: `mooring keys revoke ${tenant} ${id} --reason "…"`,
            run: async (reason) => {
              await act<"revokeKey">("DELETE", `/v1/admin/keys/${encodeURIComponent(tenant)}/${id}`, {
                body: reason === "" ? {} : { reason },
              });
              return <p>It is revoked.</p>;
            },
          }}
        />
      )}
    </>
  );
}

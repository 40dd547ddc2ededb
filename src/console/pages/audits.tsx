/**
 * Audits. A plan compares records with sandboxes and changes nothing. Applying a plan takes its hash and verifies each
 * finding again.
 */
import { useSignal } from "@preact/signals";
import type { AnswerOf } from "../../protocol/contracts/contract-types.ts";
import type { ProblemBody } from "../../protocol/problem.ts";
import { act, problemIn, read } from "../data/call.ts";
import { now } from "../data/clock.ts";
import { useLive } from "../data/live.ts";
import { go, route } from "../data/route.ts";
import { ActDialog } from "../parts/act.tsx";
import { Chip, Empty, Id, Problem, Reading, When } from "../parts/bits.tsx";
import { Page } from "../parts/shell.tsx";
import { number, Table } from "../parts/table.tsx";
import { counted, plain } from "../words/states.ts";

export function Audits() {
  const id = route.value.subject;
  return id === "" ? <List /> : <One id={id} />;
}

function List() {
  const live = useLive("audits", (signal) => read<"listAudits">("/v1/admin/audits", signal), 15_000);
  const busy = useSignal(false);
  const failed = useSignal<ProblemBody | null>(null);
  const { data } = live.state.value;
  async function plan(): Promise<void> {
    busy.value = true;
    failed.value = null;
    try {
      const made = await act<"planAudit">("POST", "/v1/admin/audits");
      go(`/console/audits/${made.id}`);
    } catch (error) {
      failed.value = problemIn(error);
    }
    busy.value = false;
  }
  return (
    <Page
      title="Audits"
      lead="A plan compares what is recorded with what the providers list. It changes nothing."
      command="mooring audit list"
      actions={
        <button type="button" class="primary" disabled={busy.value} onClick={() => void plan()}>
          {busy.value ? "Looking everywhere …" : "Plan an audit"}
        </button>
      }
    >
      <Reading of={live.state.value} />
      {failed.value !== null && <Problem problem={failed.value} />}
      {data !== null && (
        <section class="card" aria-label="Plans">
          {data.data.length === 0 ? (
            <Empty title="No audit was planned yet.">Plan one: it takes some seconds and ends nothing.</Empty>
          ) : (
            <Table kind="rows" heads={["Plan", "Made", "By", number("Findings"), "Looked at"]}>
              {data.data.map((each) => (
                <tr key={each.id}>
                  <td>
                    <Id of={each.id} href={`/console/audits/${each.id}`} />
                  </td>
                  <td>
                    <When at={each.created_at} />
                  </td>
                  <td data-label="By">{each.by}</td>
                  <td class="number" data-label="Findings">
                    {each.findings}
                  </td>
                  <td class="small">
                    {lookedAt(each.looked)}
                    {each.complete ? "" : ", not all"}
                  </td>
                </tr>
              ))}
            </Table>
          )}
        </section>
      )}
    </Page>
  );
}

function lookedAt({ tenants, records, sandboxes }: AnswerOf<"getAudit">["plan"]["looked"]): string {
  return `${counted(tenants, "tenant")}, ${counted(records, "record")}, ${counted(sandboxes, "sandbox", "sandboxes")}`;
}

type Finding = AnswerOf<"getAudit">["plan"]["findings"][number];

function One({ id }: { readonly id: string }) {
  const live = useLive(
    `audit ${id}`,
    (signal) => read<"getAudit">(`/v1/admin/audits/${encodeURIComponent(id)}`, signal),
    null,
  );
  const asking = useSignal(false);
  const { data } = live.state.value;
  const expired = data !== null && Date.parse(data.plan.expires_at) <= now.value;
  const open = data !== null && data.result === null && data.plan.findings.length > 0 && !expired;
  return (
    <Page
      title={
        <>
          <span class="faint small">Audit</span> <Id of={id} />
        </>
      }
      command={`mooring ${open ? "audit apply" : "api get-audit"} ${id}`}
      actions={
        open ? (
          <button type="button" class="danger" onClick={() => (asking.value = true)}>
            Apply this plan …
          </button>
        ) : undefined
      }
    >
      <Reading of={live.state.value} />
      {data !== null && (
        <>
          <p>
            Made <When at={data.plan.created_at} /> by {data.plan.by}.{" "}
            {data.result === null && (
              <>
                It {expired ? "expired" : "expires"} <When at={data.plan.expires_at} />.{" "}
              </>
            )}
            Looked at {lookedAt(data.plan.looked)}. Hash <code>{data.plan.plan_hash.slice(0, 16)}</code>
          </p>
          {data.plan.notes.map((note) => (
            <div key={note} class="note warn">
              {note}
            </div>
          ))}
          {data.result !== null && (
            <div class="note good">
              Applied <When at={data.result.applied_at} /> by {data.result.by}: {data.result.done} done,{" "}
              {data.result.skipped} skipped, {data.result.failed} failed.
            </div>
          )}
          <section class="card" aria-label="Findings">
            {data.plan.findings.length === 0 ? (
              <Empty title="Everything agrees.">Every record has its sandbox, and every sandbox its record.</Empty>
            ) : (
              <Findings
                findings={data.plan.findings}
                outcome={(finding) =>
                  data.result?.items.find((item) => JSON.stringify(item.finding) === JSON.stringify(finding)) ?? null
                }
              />
            )}
          </section>
        </>
      )}
      {asking.value && data !== null && (
        <ActDialog
          onClose={() => {
            asking.value = false;
            live.refresh();
          }}
          order={{
            title: "Apply this plan",
            danger: true,
            button: `Apply ${data.plan.findings.length}`,
            reason: null,
            touches: <Findings findings={data.plan.findings} outcome={() => null} />,
            command: `mooring audit apply ${id}`,
            run: async () => {
              const { done, skipped, failed } = await act<"applyAudit">(
                "POST",
                `/v1/admin/audits/${encodeURIComponent(id)}/apply`,
                { body: { plan_hash: data.plan.plan_hash } },
              );
              return (
                <p>
                  {done} done, {skipped} skipped because they no longer held, {failed} failed.
                </p>
              );
            },
          }}
        />
      )}
    </Page>
  );
}

function Findings({
  findings,
  outcome,
}: {
  readonly findings: readonly Finding[];
  readonly outcome: (finding: Finding) => { readonly outcome: string; readonly why: string } | null;
}) {
  return (
    <Table kind="rows planned-rows" heads={["Found", "Session", "What it is"]}>
      {findings.map((finding) => {
        const came = outcome(finding);
        return (
          <tr key={`${finding.kind} ${finding.session_id} ${finding.sandbox_id ?? finding.file?.name}`}>
            <td>
              <Chip tone="warn">{plain(finding.kind)}</Chip>
            </td>
            <td>
              <Id of={finding.session_id} href={`/console/sessions/${finding.session_id}`} />
              <div class="small faint">{finding.tenant ?? "nobody's"}</div>
            </td>
            <td>
              {finding.detail}
              {came !== null && (
                <div class="small">
                  <b>{came.outcome}</b>: {came.why}
                </div>
              )}
            </td>
          </tr>
        );
      })}
    </Table>
  );
}

/** A teardown receipt as a table: what was tried, what was seen, when, by whom, and what that proves. */
import Table from "cli-table3";
import type { SessionView, TeardownView } from "../../src/protocol/resources/session/sessions.ts";
import { bad, bold, dim, exactClock, good, seconds } from "./stage.ts";

export function receiptTable(title: string, session: SessionView, receipt: TeardownView): string {
  // Borders and the first column take 20 cells; wider than a line of text a table only gets harder to read.
  const words = Math.min(Math.max((process.stdout.columns ?? 112) - 20, 40), 92);
  const table = new Table({ style: { head: [], border: [], compact: true }, colWidths: [17, words], wordWrap: true });
  table.push(
    [{ colSpan: 2, content: bold(`Receipt: ${title}`) }],
    ["session", `${receipt.session_id}, ended for ${bold(session.terminate_reason ?? "no reason")}`],
    ["sandbox", `${receipt.sandbox_id}`],
    ["attempts", receipt.attempts.map((each) => attempt(each)).join("\n")],
    ["asked", [...new Set(receipt.observations.map((each) => each.asked))].join("\n")],
    ["observations", receipt.observations.map((each) => observation(each)).join("\n")],
    ["verified absent", verified(receipt)],
    ["evidence", receipt.evidence ?? bad("none")],
  );
  return table.toString();
}

function attempt(each: TeardownView["attempts"][number]): string {
  const took =
    each.ended_at === null
      ? "never answered"
      : `took ${seconds(Date.parse(each.ended_at) - Date.parse(each.started_at))}`;
  const error = each.error === null ? "" : `: ${each.error}`;
  return `#${each.attempt} at ${exactClock(each.started_at)}, ${took}: ${each.outcome.replaceAll("_", " ")}${error}`;
}

function observation(each: TeardownView["observations"][number]): string {
  const answer = each.answer === "absent" ? good(each.answer) : bad(each.answer);
  return `${exactClock(each.at)} ${answer}  ${dim(each.detail)}`;
}

function verified(receipt: TeardownView): string {
  if (receipt.verified_absent_at === null) return bad("not verified");
  return good(exactClock(receipt.verified_absent_at));
}

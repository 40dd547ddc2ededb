/**
 * The watch over the fleet: looks, judges every alert, keeps its state, tells what changed. Run by FleetControl's own alarm
 * and not by the cron, which is among the watched. The state is stored before anyone is told, so a telling that fails is
 * told again at the next look: at least once, never none.
 */
import type { Clock, Logger } from "../../session/ambient.ts";
import { boundedCall } from "../bounded-call.ts";
import type { FleetDocument } from "../control-api.ts";
import { nextAlertState, type AlertRule, type AlertState } from "./alert.ts";
import { alertPage, alertRules } from "./alert-rules.ts";
import { lookAtFleet, type LookedAtControl, type LookPorts, type LookTerms } from "./look.ts";

/** The documents of kind `alert_state`: one for each alert by its name, and one for the watch itself. */
export const watchDocument = "_watch";

export interface StoredAlert {
  readonly state: AlertState;
  /** A change that nobody has taken yet; null: all told. */
  readonly untold: "fired" | "cleared" | null;
}
export interface StoredWatch {
  readonly since: number;
  /** The last look. */
  readonly at: number;
}

export interface WatchedControl extends LookedAtControl {
  document(kind: FleetDocument["kind"], id: string): FleetDocument | null;
  putDocument(document: Omit<FleetDocument, "at">): FleetDocument;
}

/** What is sent to ALERT_WEBHOOK_URL, as JSON. */
export interface AlertNotice {
  readonly alert: string;
  readonly change: "fired" | "cleared";
  readonly severity: AlertRule["severity"];
  readonly summary: string;
  readonly since: string;
  readonly context: Readonly<Record<string, string | number>>;
  readonly page: string;
  readonly command: string;
}

export interface WatchPorts extends LookPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** null: nobody is to be told but the log. Resolves true when it was taken. */
  readonly tell: ((notice: AlertNotice) => Promise<boolean>) | null;
}

const tellMs = 5_000;

export async function watchFleet(ports: WatchPorts, control: WatchedControl, terms: LookTerms): Promise<void> {
  const now = ports.clock.now();
  const watch = read<StoredWatch>(control, watchDocument) ?? { since: now, at: now };
  const fleet = await lookAtFleet(ports, control, terms, watch.since);
  for (const rule of alertRules) {
    const stored = read<StoredAlert>(control, rule.name) ?? { state: { phase: "clear", since: now }, untold: null };
    const judgement = rule.judge(fleet, terms.alerts);
    const step = nextAlertState(stored.state, judgement, rule.fireAfterMs(terms.alerts), fleet.at);
    const next: StoredAlert = { state: step.state, untold: step.change ?? stored.untold };
    if (JSON.stringify(next) !== JSON.stringify(stored)) write(control, rule.name, next);
    if (step.change !== null) logChange(ports.logger, rule, step.state, step.change);
  }
  // After the alerts: as long as this is fresh, they are.
  write(control, watchDocument, { since: watch.since, at: fleet.at } satisfies StoredWatch);
  await tellAll(ports, control);
}

async function tellAll(ports: WatchPorts, control: WatchedControl): Promise<void> {
  for (const rule of alertRules) {
    const stored = read<StoredAlert>(control, rule.name);
    if (stored === null || stored.untold === null) continue;
    const { untold, state } = stored;
    const { tell, clock, logger } = ports;
    if (tell !== null) {
      const answer = await boundedCall(clock, tellMs, () => tell(noticeOf(rule, state, untold)));
      if (answer.type !== "answered" || !answer.value) {
        logger.warn("alert not delivered", { alert: rule.name, change: untold, why: answer.type });
        continue;
      }
    }
    write(control, rule.name, { state, untold: null } satisfies StoredAlert);
  }
}

function noticeOf(rule: AlertRule, state: AlertState, change: "fired" | "cleared"): AlertNotice {
  return {
    alert: rule.name,
    change,
    severity: rule.severity,
    summary: rule.summary,
    since: new Date(state.since).toISOString(),
    context: state.phase === "clear" ? {} : state.context,
    page: alertPage(rule.name),
    command: rule.command,
  };
}

function logChange(logger: Logger, rule: AlertRule, state: AlertState, change: "fired" | "cleared"): void {
  const fields = {
    alert: rule.name,
    severity: rule.severity,
    ...(state.phase === "clear" ? {} : state.context),
    page: alertPage(rule.name),
  };
  if (change === "fired") logger.error("alert fired", fields);
  else logger.info("alert cleared", fields);
}

function read<T>(control: WatchedControl, id: string): T | null {
  const stored = control.document("alert_state", id);
  return stored === null ? null : (JSON.parse(stored.body) as T);
}

function write(control: WatchedControl, id: string, value: StoredAlert | StoredWatch): void {
  control.putDocument({ kind: "alert_state", id, body: JSON.stringify(value) });
}

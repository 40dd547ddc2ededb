/**
 * The watch over the fleet: looks, judges every alert, keeps how each stands, tells what changed. Run by FleetControl's own
 * alarm and not by the cron, which is among the watched. What changed is stored before anyone is told, so a telling that
 * fails is told again at the next look: at least once, never none.
 */
import type { AlertNotice } from "../../protocol/resources/operator/alerts.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { Clock, Logger } from "../../runtime/clock-ids-logger.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { AlertBoard, AlertStanding, FleetDocument } from "../control/control-api.ts";
import { type AlertRule, type AlertState, nextAlertState } from "./alert.ts";
import { alertPage, alertRules } from "./alert-rules.ts";
import { type FleetPoint, fleetPoint } from "./fleet-point.ts";
import { lookAtFleet, type LookedAtControl, type LookPorts, type LookTerms } from "./fleet-look.ts";

/** What the watch needs of the object it runs in. */
export interface WatchedControl extends LookedAtControl {
  putDocument(document: Omit<FleetDocument, "at">): FleetDocument;
}

export interface WatchPorts extends LookPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** null: the log alone is told. Resolves true when it was taken. */
  readonly tell: ((notice: AlertNotice) => Promise<boolean>) | null;
  /** null: nobody keeps the figures. Must not throw. */
  readonly point: ((point: FleetPoint) => void) | null;
}

export interface WatchTerms extends LookTerms {
  readonly everyMs: number;
}

const board = { kind: "alert_state", id: "board" } as const;
const tellMs = 5_000;

export async function watchFleet(ports: WatchPorts, control: WatchedControl, terms: WatchTerms): Promise<AlertBoard> {
  const stored = readBoard(control);
  const since = stored?.since ?? ports.clock.now();
  const fleet = await lookAtFleet(ports, control, terms, since);
  const alerts = alertRules.map((rule): AlertStanding => {
    const before = stored?.alerts.find((each) => each.name === rule.name);
    const step = nextAlertState(
      before === undefined ? { phase: "clear", since: fleet.at } : stateOf(before),
      rule.judge(fleet, terms.alerts),
      rule.fireAfterMs(terms.alerts),
      fleet.at,
    );
    const standing = standingOf(rule, step.state, step.change ?? before?.untold ?? null);
    if (step.change !== null) logChange(ports.logger, standing, step.change);
    return standing;
  });
  const looked: AlertBoard = { since, lookedAt: fleet.at, everyMs: terms.everyMs, alerts };
  writeBoard(control, looked);
  const point = fleetPoint(fleet, looked);
  if (point !== null) ports.point?.(point);
  return await tellAll(ports, control, looked);
}

async function tellAll(ports: WatchPorts, control: WatchedControl, looked: AlertBoard): Promise<AlertBoard> {
  if (looked.alerts.every((each) => each.untold === null)) return looked;
  const alerts = await Promise.all(
    looked.alerts.map(async (standing) => ((await taken(ports, standing)) ? { ...standing, untold: null } : standing)),
  );
  const told = { ...looked, alerts };
  writeBoard(control, told);
  return told;
}

async function taken({ tell, clock, logger }: WatchPorts, standing: AlertStanding): Promise<boolean> {
  const { untold } = standing;
  if (untold === null || tell === null) return true;
  const answer = await outcomeWithin(clock, tellMs, () => tell(noticeOf(standing, untold)));
  if (answer.type === "answered" && answer.value) return true;
  logger.warn("alert not delivered", { alert: standing.name, change: untold, why: answer.type });
  return false;
}

function noticeOf(standing: AlertStanding, change: "fired" | "cleared"): AlertNotice {
  const { name, severity, summary, since, context, page, command } = standing;
  return { alert: name, change, severity, summary, since: rfc3339(since), context: { ...context }, page, command };
}

function standingOf(rule: AlertRule, state: AlertState, untold: AlertStanding["untold"]): AlertStanding {
  const { name, severity, summary, command, cli } = rule;
  const context = state.phase === "clear" ? {} : state.context;
  const { phase, since } = state;
  return { name, severity, phase, since, summary, context, page: alertPage(name), command, cli, untold };
}

function stateOf({ phase, since, context }: AlertStanding): AlertState {
  return phase === "clear" ? { phase, since } : { phase, since, context };
}

function logChange(logger: Logger, standing: AlertStanding, change: "fired" | "cleared"): void {
  const { name, severity, page, context } = standing;
  if (change === "fired") logger.error("alert fired", { alert: name, severity, page, ...context });
  else logger.info("alert cleared", { alert: name, severity, page });
}

function readBoard(control: WatchedControl): AlertBoard | null {
  const stored = control.document(board.kind, board.id);
  return stored === null ? null : (JSON.parse(stored.body) as AlertBoard);
}

function writeBoard(control: WatchedControl, value: AlertBoard): void {
  control.putDocument({ ...board, body: JSON.stringify(value) });
}

/** Every alert, one file each. What is here has a section of its name in docs/operations.md. */
import type { AlertRule } from "./alert.ts";
import { cannotProvision } from "./cannot-provision.ts";
import { capacityHigh } from "./capacity-high.ts";
import { cleanupFailing } from "./cleanup-failing.ts";
import { cleanupSilent } from "./cleanup-silent.ts";
import { fleetUnobservable } from "./fleet-unobservable.ts";
import { quotaExhausted } from "./quota-exhausted.ts";
import { recordsUnreadable } from "./records-unreadable.ts";
import { sandboxCountHigh } from "./sandbox-count-high.ts";
import { sandboxLeakDetected } from "./sandbox-leak-detected.ts";
import { sandboxTimeoutHigh } from "./sandbox-timeout-high.ts";
import { sessionStuck } from "./session-stuck.ts";
import { teardownOverdue } from "./teardown-overdue.ts";

export const alertRules: readonly AlertRule[] = [
  sandboxTimeoutHigh,
  sandboxLeakDetected,
  sandboxCountHigh,
  sessionStuck,
  recordsUnreadable,
  cleanupFailing,
  cleanupSilent,
  teardownOverdue,
  cannotProvision,
  quotaExhausted,
  capacityHigh,
  fleetUnobservable,
];

export function alertPage(name: string): string {
  return `docs/operations.md#${name}`;
}

/** The thresholds of every alert, each with its default; those with a var are set in `config.ts`. */
import { recentMs } from "../../domain/rules/timeout-rate.ts";

export interface AlertTerms {
  /** ALERT_TIMEOUT_HIGH_PERCENT, ALERT_TIMEOUT_CLEAR_PERCENT, ALERT_TIMEOUT_MIN_SAMPLES. */
  readonly timeoutHighPercent: number;
  readonly timeoutClearPercent: number;
  readonly timeoutMinSamples: number;
  /** ALERT_ACTIVE_HIGH, ALERT_ACTIVE_CLEAR, ALERT_ACTIVE_HIGH_SECONDS. */
  readonly activeHigh: number;
  readonly activeClear: number;
  readonly activeHighMs: number;
  /** ALERT_ACTIVE_VERY_HIGH, ALERT_ACTIVE_VERY_HIGH_SECONDS. */
  readonly activeVeryHigh: number;
  readonly activeVeryHighMs: number;
  /** How long something may be full or silent before it is worth a page. */
  readonly settleMs: number;
  /** How far back rates are looked at. */
  readonly outcomeWindowMs: number;
  /** This many failed or timed-out launches, with none that succeeded, mean that nothing can be provisioned. */
  readonly provisionFailures: number;
  readonly layerFailures: number;
  /** How often each layer is due; a layer that is not here is not expected by the clock. */
  readonly layerEveryMs: Readonly<Record<string, number>>;
  readonly capacityHigh: number;
  readonly capacityClear: number;
}

const minute = 60_000;

/** `layerEveryMs` is the schedule's own. */
export const defaultAlertTerms: Omit<AlertTerms, "layerEveryMs"> = {
  timeoutHighPercent: 5,
  timeoutClearPercent: 2,
  timeoutMinSamples: 20,
  activeHigh: 20,
  activeClear: 5,
  // A burst of work is no leak: it passes within some minutes or is asked about.
  activeHighMs: 5 * minute,
  activeVeryHigh: 50,
  activeVeryHighMs: 30 * minute,
  settleMs: 2 * minute,
  outcomeWindowMs: recentMs,
  provisionFailures: 3,
  // One failed run is followed by another before anybody could look.
  layerFailures: 2,
  capacityHigh: 0.8,
  capacityClear: 0.7,
};

/** A tenant's usage and quotas, as one line above its sessions. */
import { read } from "../data/call.ts";
import { useLive } from "../data/live.ts";
import { Chip, When } from "./bits.tsx";

/** Usage changes slowly, so it is read less often than the list. */
const everyMs = 30_000;
/** A tenant is near its budget from this share on, as in the alert. */
const nearShare = 0.8;

/** `tenant` null: the tenant that is signed in. */
export function TenantUsage({ tenant }: { readonly tenant: string | null }) {
  const path = tenant === null ? "/v1/usage" : `/v1/admin/usage?tenant=${encodeURIComponent(tenant)}`;
  const live = useLive(path, (signal) => read<"getOwnUsage">(path, signal), everyMs);
  const { data } = live.state.value;
  if (data === null) return null;
  const { sandboxes, month } = data;
  const spent = `${amount(month.cost)} ${month.currency}`;
  const share = month.max_cost === null ? 0 : month.cost / month.max_cost;
  return (
    <p class="small" aria-label="Usage">
      <Chip tone={sandboxes.used >= sandboxes.limit ? "warn" : "good"}>
        {sandboxes.used} of {sandboxes.limit} sandboxes
      </Chip>{" "}
      {(month.max_cost !== null || month.cost > 0) && (
        <Chip tone={share >= 1 ? "bad" : share >= nearShare ? "warn" : "good"}>
          {month.max_cost === null ? `${spent} this month` : `${spent} of ${amount(month.max_cost)} this month`}
        </Chip>
      )}{" "}
      {share >= 1 && (
        <span>
          Used up: what costs something pauses or ends, and nothing new starts. The next month begins{" "}
          <When at={month.until} />.
        </span>
      )}
    </p>
  );
}

const amount = (money: number): string => String(Number(money.toPrecision(4)));

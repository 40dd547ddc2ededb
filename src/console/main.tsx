/** The console. Shows the page that the address names, once it is known who is signed in. */
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { copyTimesAsUtc } from "./data/copy.ts";
import { identity, isSignedIn, learnIdentity, nobody } from "./data/identity.ts";
import { route } from "./data/route.ts";
import { Empty } from "./parts/bits.tsx";
import { entries, Page, Shell } from "./parts/shell.tsx";
import { Attention } from "./pages/attention.tsx";
import { Audits } from "./pages/audits.tsx";
import { Containers } from "./pages/containers.tsx";
import { Fleet } from "./pages/fleet.tsx";
import { Keys } from "./pages/keys.tsx";
import { LedgerPage } from "./pages/ledger.tsx";
import { Log } from "./pages/log.tsx";
import { Login } from "./pages/login.tsx";
import { Session } from "./pages/session/session.tsx";
import { Snapshots } from "./pages/snapshots.tsx";
import { Webhooks } from "./pages/webhooks.tsx";
import { Sessions } from "./pages/sessions.tsx";

function View() {
  const missing = missingFor(route.value.view);
  if (missing !== null)
    return (
      <Page title="Not with this sign-in" command="mooring login">
        <Empty title={`This page needs ${missing}.`}>
          <a href="/console/login">Sign in with it as well</a>: what you are signed in with stays.
        </Empty>
      </Page>
    );
  switch (route.value.view) {
    case "":
      return <Attention />;
    case "sessions":
      return route.value.subject === "" ? <Sessions /> : <Session key={route.value.subject} id={route.value.subject} />;
    case "fleet":
      return <Fleet />;
    case "ledger":
      return <LedgerPage />;
    case "audits":
      return <Audits key={route.value.subject} />;
    case "containers":
      return <Containers key={route.value.subject} />;
    case "keys":
      return <Keys key={route.value.subject} />;
    case "snapshots":
      return <Snapshots />;
    case "webhooks":
      return <Webhooks key={route.value.subject} />;
    case "log":
      return <Log />;
    default:
      return (
        <Page title="There is no such page" command="mooring --help">
          <Empty title="This address means nothing here.">
            Go to <a href="/console">what needs attention</a> or to <a href="/console/sessions">the sessions</a>.
          </Empty>
        </Page>
      );
  }
}

/** Which sign-in a page needs and does not have; null: none is missing. */
function missingFor(view: string): string | null {
  const who = identity.value;
  const entry = entries.find((each) => each.view === view);
  if (entry?.for === "operator" && who?.operator == null) return "the admin token";
  return entry?.for === "tenant" && who?.tenant == null ? "an API key" : null;
}

function App() {
  useEffect(() => {
    void learnIdentity().catch(() => {
      identity.value = nobody;
    });
  }, []);
  if (identity.value === null) return <div class="loading" />;
  if (!isSignedIn(identity.value) || route.value.view === "login") return <Login />;
  return (
    <Shell>
      <View />
    </Shell>
  );
}

const root = document.getElementById("console");
if (root !== null) {
  copyTimesAsUtc();
  root.replaceChildren();
  render(<App />, root);
}

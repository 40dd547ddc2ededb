/** Signing in. The credential is sent once, in exchange for a cookie that no script can read. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { ProblemBody } from "../../protocol/problem.ts";
import { problemIn } from "../data/call.ts";
import { signIn } from "../data/identity.ts";
import { go, route } from "../data/route.ts";
import { Problem } from "../parts/bits.tsx";
import { Icon } from "../parts/icon.tsx";

export function Login() {
  const credential = useSignal("");
  const problem = useSignal<ProblemBody | null>(null);
  const busy = useSignal(false);

  async function enter(by: Parameters<typeof signIn>[0]): Promise<void> {
    busy.value = true;
    problem.value = null;
    try {
      await signIn(by);
      credential.value = "";
      if (route.peek().view === "login") go("/console", "replace");
    } catch (error) {
      problem.value = problemIn(error);
    }
    busy.value = false;
  }

  // `mooring ui` opens a link with a ticket. Take it out of the address before anything else happens.
  useEffect(() => {
    const ticket = location.hash.slice(1);
    if (ticket === "") return;
    history.replaceState(null, "", location.pathname);
    void enter({ ticket });
  }, []);

  return (
    <main class="login">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void enter({ credential: credential.value });
        }}
      >
        <div class="brand">
          <Icon name="anchor" /> Mooring
        </div>
        <h1>Sign in</h1>
        <p>With the admin token you see the whole fleet, with an API key the sessions of its tenant.</p>
        <label for="credential">Admin token or API key</label>
        <input
          id="credential"
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          autofocus
          value={credential.value}
          onInput={(event) => (credential.value = event.currentTarget.value)}
        />
        {problem.value !== null && <Problem problem={problem.value} />}
        <button type="submit" class="primary" disabled={busy.value || credential.value === ""}>
          {busy.value ? "Signing in …" : "Sign in"}
        </button>
        <p class="small faint">
          In development <code>npm run dev</code> prints a key, and <code>ADMIN_TOKEN</code> is in{" "}
          <code>.dev.vars</code>. On the command line: <code>mooring ui</code> opens this page signed in.
        </p>
      </form>
    </main>
  );
}

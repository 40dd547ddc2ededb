/** All commands of `mooring`. */
import completions from "@bomb.sh/tab/commander";
import { Command } from "commander";
import { apiCommand } from "./commands/api.ts";
import type { Shell } from "./commands/command.ts";
import { doctorCommand } from "./commands/look/doctor.ts";
import { attentionCommand, fleetCommand } from "./commands/look/fleet.ts";
import { logsCommand } from "./commands/look/logs.ts";
import { sessionsCommand } from "./commands/look/sessions.ts";
import { topCommand } from "./commands/look/top.ts";
import { uiCommand } from "./commands/look/ui.ts";
import { usageCommand } from "./commands/look/usage.ts";
import { verifyCommand } from "./commands/look/verify.ts";
import { whyCommand } from "./commands/look/why.ts";
import { budgetCommand, drainCommand, rebuildCommand, resolveCommand } from "./commands/operate/acts.ts";
import { endCommand } from "./commands/operate/end.ts";
import { keysCommand } from "./commands/operate/keys.ts";
import { loginCommand, logoutCommand, profilesCommand } from "./commands/operate/login.ts";
import { auditCommand, cleanupCommand, emergencyCommand } from "./commands/operate/plans.ts";
import { cpCommand, upCommand } from "./commands/work/cp.ts";
import { attachCommand, execCommand } from "./commands/work/exec.ts";
import { portsCommand } from "./commands/work/ports.ts";
import { runCommand } from "./commands/work/run.ts";
import { forkCommand, snapshotsCommand } from "./commands/work/snapshots.ts";

type Make = (shell: Shell) => Command;

/** In the order in which the help shows them. */
const groups: Readonly<Record<string, readonly Make[]>> = {
  "Work:": [
    upCommand,
    runCommand,
    execCommand,
    attachCommand,
    cpCommand,
    portsCommand,
    snapshotsCommand,
    forkCommand,
    endCommand,
    rebuildCommand,
    budgetCommand,
  ],
  "Look:": [
    sessionsCommand,
    whyCommand,
    logsCommand,
    topCommand,
    attentionCommand,
    fleetCommand,
    doctorCommand,
    uiCommand,
    usageCommand,
    verifyCommand,
  ],
  "Operate:": [auditCommand, cleanupCommand, emergencyCommand, resolveCommand, drainCommand, keysCommand],
  "Set up:": [loginCommand, logoutCommand, profilesCommand],
  "Everything else:": [apiCommand],
};

export function programFor(shell: Shell, version: string): Command {
  const program = new Command("mooring")
    .description("Agent sandboxes as leased sessions: none outlives its session, and every end is proven.")
    .version(version, "-V, --version", "print the version")
    .enablePositionalOptions()
    .showHelpAfterError("(`--help` shows what there is)")
    .showSuggestionAfterError();
  for (const [group, commands] of Object.entries(groups)) {
    program.commandsGroup(group);
    for (const make of commands) program.addCommand(make(shell));
  }
  // `mooring completion bash`, and the hidden `complete` that the script calls back.
  completions(program, { completionCommandName: "completion" });
  return program;
}

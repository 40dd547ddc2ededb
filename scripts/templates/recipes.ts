/** What templates are prepared from: commands in a container that starts from the managed image, with Internet and as root. */
export interface Recipe {
  readonly steps: readonly string[];
  /** Succeeds when everything is there. */
  readonly check: string;
}

const tools = "git python3 python3-venv python3-pip curl ca-certificates ripgrep build-essential procps";

export const recipes: Readonly<Record<string, Recipe>> = {
  agents: {
    steps: [
      "apt-get update -q",
      `DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends ${tools}`,
      "id user >/dev/null 2>&1 || useradd --create-home --home-dir /home/user --shell /bin/bash user",
      "rm -rf /var/lib/apt/lists/* /tmp/*",
    ],
    check:
      "git --version && python3 --version && node --version && curl --version && rg --version && cc --version && id user",
  },
};

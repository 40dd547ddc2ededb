/** The element that the terminal's library makes in place of `<style>`; the build writes this name into it. */
export const adoptedStyleTag = "adopted-style";

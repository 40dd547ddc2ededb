/**
 * The element that the terminal's library creates in place of `<style>`. The build writes this name into the library.
 */
export const adoptedStyleTag = "adopted-style";

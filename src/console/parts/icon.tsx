/** The console's icons, drawn as lines in the colour of the text beside them. */

const paths = {
  anchor:
    "M12 8v13M8 11h8M5 14c.5 4 3.300 6.500 7 6.500s6.500-2.500 7-6.500M12 8a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5Z",
  bell: "M6 16V11a6 6 0 1 1 12 0v5l1.500 2h-15L6 16ZM10 20.500a2 2 0 0 0 4 0",
  boxes: "M3.500 8.500 12 4l8.500 4.500v7L12 20l-8.500-4.500v-7ZM3.500 8.500 12 13l8.500-4.500M12 13v7",
  gauge: "M4 18a9 9 0 1 1 16 0M12 14l4-5M12 14a1 1 0 1 0 0 .01",
  scale: "M12 4v16M7 20h10M5 7h14M5 7l-2.500 6h5L5 7ZM19 7l-2.500 6h5L19 7Z",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM16 16l4.500 4.500",
  key: "M14.500 13.500a4.500 4.500 0 1 0-4-4L4 16v4h4v-2.500h2.500V15l4-1.500ZM16 8.500v.01",
  hook: "M9 8.500a3 3 0 1 1 4.500 2.600L16 16M16 16a3 3 0 1 1-1 4.500M15 18H8.500M8.500 18A3 3 0 1 1 7 13",
  list: "M8 6h12M8 12h12M8 18h12M4 6v.01M4 12v.01M4 18v.01",
  clipboard: "M9 4h6v3H9V4ZM9 5H6v15h12V5h-3M9 13l2 2 4-4",
  copy: "M9 9h10v11H9V9ZM5 15V4h10",
  check: "M5 13l4.500 4.500L19 7",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12 2.500v2M12 19.500v2M2.500 12h2M19.500 12h2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M5.300 18.700l1.400-1.400M17.300 6.700l1.400-1.400",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500Z",
  out: "M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6 6 18",
  terminal: "M4 5h16v14H4V5ZM7.500 9.500 10 12l-2.500 2.500M12 15h4",
  right: "M9 6l6 6-6 6",
  book: "M5 4h10.500A2.500 2.500 0 0 1 18 6.500V20H7.500A2.500 2.500 0 0 1 5 17.500V4ZM5 17.500A2.500 2.500 0 0 1 7.500 15H18",
  down: "M12 4v11M7.500 11l4.500 4.500L16.500 11M5 19.500h14",
  file: "M6 3h8l4 4v14H6V3ZM14 3v4h4",
  folder: "M3.500 6h6l2 2.500h9V19h-17V6Z",
  layers: "M12 3.500 3.500 8 12 12.500 20.500 8 12 3.500ZM3.500 12 12 16.500 20.500 12M3.500 16 12 20.500 20.500 16",
  plug: "M9 3v5M15 3v5M6.500 8h11v3a5.500 5.500 0 0 1-11 0V8ZM12 16.500V21",
  print: "M7 9V4h10v5M7 17H4v-8h16v8h-3M7 14h10v6H7v-6Z",
} as const;
export type IconName = keyof typeof paths;

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}

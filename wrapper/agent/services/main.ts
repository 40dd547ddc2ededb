/** The part of the program that is the service process (program-parts.ts). The wrapper hands it over on stdin. */
import { begin } from "../begin.ts";
import { runServices } from "./services.ts";

begin(runServices);

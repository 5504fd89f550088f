// The page in a window of its own, without TensorBoard around it.
import { render } from "./main.js";

render();

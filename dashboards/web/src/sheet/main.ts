import { mount } from "svelte";

import Sheet from "./Sheet.svelte";

const target = document.getElementById("app");
if (target === null) throw new Error("sheet.html has no #app");
mount(Sheet, { target });

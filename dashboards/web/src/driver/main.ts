import { mount } from "svelte";

import Driver from "./Driver.svelte";
import "./driver.css";

const target = document.getElementById("app");
if (target === null) throw new Error("driver.html has no #app");
mount(Driver, { target });

// An edge node of Eclipse Tahu's sparkplug-client, as its README builds one. It is told what to do by lines of JSON on
// standard input, and tells what it heard on standard output. The first argument: {client, unit, node, device}, the last
// two being the metrics of its births.
"use strict";

const readline = require("node:readline");
const sparkplug = require("sparkplug-client");

const { client: options, unit, node, device } = JSON.parse(process.argv[2]);
const client = sparkplug.newClient({ ...options, publishDeath: true });
const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const payload = (metrics) => ({ timestamp: Date.now(), metrics: metrics.map((metric) => ({ ...metric })) });

function remember(metrics) {
  for (const { name, alias, value, timestamp } of metrics) {
    const known = device.find((each) => (name === undefined ? each.alias === alias : each.name === name));
    Object.assign(known, { value, timestamp });
  }
}

function beBorn() {
  client.publishNodeBirth(payload(node));
  client.publishDeviceBirth(unit, payload(device));
  say("born");
}

client.on("birth", beBorn);
client.on("error", (error) => say("error", { text: String(error) }));
client.on("ncmd", ({ metrics }) => {
  say("ncmd", { metrics });
  if (metrics.some(({ name, value }) => name === "Node Control/Rebirth" && value === true)) beBorn();
});

const commands = {
  data({ metrics }) {
    remember(metrics);
    client.publishDeviceData(unit, payload(metrics));
  },
  nodeData: ({ metrics }) => client.publishNodeData(payload(metrics)),
  // A message that is lost on its way: its number is used up.
  lose: () => client.incrementSeqNum(),
  deviceDeath: () => client.publishDeviceDeath(unit, payload([])),
  stop: () => client.stop(),
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { what, ...words } = JSON.parse(line);
  commands[what](words);
});

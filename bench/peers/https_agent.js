// Node's https with an agent that keeps connections, as its manual has it. See
// run for what it is given and prints.
const fs = require("fs");
const https = require("https");

const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca: fs.readFileSync(process.env.PEER_CA) });
const options = {
  agent,
  method: "POST",
  headers: { Authorization: "Basic " + process.env.PEER_TOKEN, "Content-Type": "application/json" },
};

function fetch(body) {
  return new Promise((resolve, reject) => {
    const headers = { ...options.headers, "Content-Length": Buffer.byteLength(body) };
    const request = https.request(process.env.PEER_URL, { ...options, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => { text += chunk; });
      response.on("end", () => {
        if (response.statusCode !== 200) return reject(new Error(response.statusCode));
        resolve(JSON.parse(text));
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function main() {
  const bodies = fs.readFileSync(process.env.PEER_BODIES, "utf8").split("\n").slice(0, -1);
  const count = Number(process.argv[2]);
  await fetch(bodies[0]);
  const started = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  let tickets = 0;
  for (let i = 0; i < count; i++) tickets += (await fetch(bodies[i % bodies.length])).length;
  const used = process.cpuUsage(cpu);
  const wall = Number(process.hrtime.bigint() - started) / 1e9;
  console.log(`${wall.toFixed(6)} ${((used.user + used.system) / 1e6).toFixed(6)} ${tickets}`);
  agent.destroy();
}

main();

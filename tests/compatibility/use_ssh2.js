// ssh2 takes any duplex stream as `sock`.
const { spawn } = require("child_process");
const fs = require("fs");
const { Duplex } = require("stream");
const { Client } = require("ssh2");

const { host, user, HOME } = process.env;
const port = "22";
const proxy = spawn("ssm-ssh", ["proxy", host, port, user], { stdio: ["pipe", "pipe", "inherit"] });
const there = new Client();
there.on("ready", () => {
  there.exec("cat; exit 7", (error, stream) => {
    if (error) throw error;
    const back = [];
    stream.on("data", (piece) => back.push(piece));
    stream.on("close", (status) => {
      fs.writeFileSync("back", Buffer.concat(back));
      there.end();
      process.exitCode = status === 7 ? 0 : 1;
    });
    stream.end(fs.readFileSync("f"));
  });
});
there.connect({
  sock: Duplex.from({ readable: proxy.stdout, writable: proxy.stdin }),
  username: user,
  privateKey: fs.readFileSync(`${HOME}/.local/share/ssm-ssh/id_ed25519`),
});

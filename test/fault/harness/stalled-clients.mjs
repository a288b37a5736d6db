// Opens connections that send a little and then nothing, in a process of its own so that they don't slow the measuring one.
// Arguments: port, count. Prints the number of open connections, a line each time it is asked (a line on stdin).
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

// Nothing; a piece of the head; a whole head and a piece of the body.
const BEGINNINGS = [
  '',
  'GET /track/goal?x=1 HTTP/1.1\r\nHost: a\r\nX-Long: ',
  'POST /track/goal HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc',
];
const [port, count] = process.argv.slice(2).map(Number);
let open = 0;
for (let n = 0; n < count; n++) {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.once('connect', () => {
    open += 1;
    socket.write(BEGINNINGS[n % BEGINNINGS.length]);
    socket.once('close', () => (open -= 1));
  });
  // So many at once only fill the backlog of the listening socket.
  if (n % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
}
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== '') console.log(open);
}

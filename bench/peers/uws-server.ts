/** The limit: bare uWebSockets.js that returns the same GIF or the same 302, copies nothing and stores nothing. */
import uWS from 'uWebSockets.js';

const port = Number(process.argv[2]);
const gif = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');
const CLICK_ID = '0123456789abcdef0123456789abcdef';
const LOCATION = `https://shop.example/landing?cid=${CLICK_ID}&s=newsletter&o=16`;
const COOKIE = `slc_16=${CLICK_ID}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax`;

const app = uWS.App();
app.any('/track/goal', (response) => {
  response.cork(() => {
    response.writeStatus('200 OK');
    response.writeHeader('Content-Type', 'image/gif');
    response.writeHeader('Cache-Control', 'no-store');
    response.writeHeader('Access-Control-Allow-Origin', '*');
    response.end(gif);
  });
});
app.any('/click', (response) => {
  response.cork(() => {
    response.writeStatus('302 Found');
    response.writeHeader('Location', LOCATION);
    response.writeHeader('X-Sluice-Verdict', 'accepted');
    response.writeHeader('Cache-Control', 'no-store');
    response.writeHeader('Set-Cookie', COOKIE);
    response.end('');
  });
});
app.listen('127.0.0.1', port, (socket) => {
  if (socket === false) throw new Error(`port ${port} is taken`);
  process.send?.('ready');
});

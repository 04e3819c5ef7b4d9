// Keeps the page usable when the server is away: network first, the last copy otherwise. Nothing
// but the page's own files is ever kept; questions and answers go past it.
const CACHE = 'fastvlm-page';
const WAIT_MS = 3000;
const FILES = [
  './', 'style.css', 'manifest.webmanifest', 'icons/icon.svg', 'icons/icon-192.png', 'icons/icon-512.png',
  'icons/icon-maskable-512.png',
  ...['answer', 'api', 'app', 'camera', 'change_gate', 'connection', 'history', 'pictures', 'questions', 'settings',
    'stage', 'store', 'theme'].map((name) => `js/${name}.js`),
  ...['demo', 'fox', 'count', 'one', 'group', 'word'].map((name) => `samples/${name}.png`),
];
const URLS = new Set(FILES.map((file) => new URL(file, self.registration.scope).href));

self.addEventListener('install', (event) => {
  const fresh = [...URLS].map((url) => new Request(url, {cache: 'reload'}));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(fresh)).then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

async function answer(url, request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request, {cache: 'no-cache', signal: AbortSignal.timeout(WAIT_MS)});
    if (response.ok) await cache.put(url, response.clone());
    // A proxy's own error page is no reason to lose the page.
    if (response.status < 500) return response;
  } catch { /* the server is away */ }
  return await cache.match(url) ?? Response.error();
}

self.addEventListener('fetch', (event) => {
  const {request} = event;
  const url = request.url.replace(/[?#].*$/, '');
  if (request.method === 'GET' && URLS.has(url)) event.respondWith(answer(url, request.mode === 'navigate' ? url : request));
});

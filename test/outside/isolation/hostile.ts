// What a hostile page does. Each function runs inside the browser: it sees nothing of this file but itself.

/** Fetches each URL in many ways; gives what could be read. */
export async function fetchAll(urls: readonly string[]): Promise<string[]> {
  const post = (type: string): RequestInit => ({
    method: 'POST',
    body: '{}',
    headers: { 'Content-Type': type },
  })
  const ways: RequestInit[] = [
    {},
    { mode: 'no-cors' },
    { credentials: 'include', redirect: 'manual' },
    { method: 'HEAD' },
    { method: 'OPTIONS' },
    { method: 'PUT', body: '{}' },
    { mode: 'no-cors', method: 'POST', body: '{}', keepalive: true },
    { mode: 'no-cors', method: 'POST', body: new URLSearchParams({ a: 'b' }) },
    { mode: 'no-cors', method: 'POST', body: new FormData() },
    { ...post('application/jose+json'), mode: 'no-cors' },
    post('application/jose+json'),
    post('application/ocsp-request'),
    post('text/plain'),
    { headers: { 'X-Custom': '1', Origin: 'null' } },
  ]
  const read: string[] = []
  for (const url of urls)
    await Promise.all(
      ways.map(async (way) => {
        const answer = await fetch(url, way).catch(() => null)
        if (answer === null) return
        const text = await answer.text().catch(() => '')
        if (answer.status !== 0 || text !== '') read.push(`${url} ${answer.status} ${text}`)
      }),
    )
  return read
}

/** Embeds each URL in many elements; gives those that said they had loaded. */
export async function embedAll(urls: readonly string[]): Promise<string[]> {
  const loaded: string[] = []
  const embed = (tag: string, url: string, more: object = {}): Promise<void> =>
    new Promise((resolve) => {
      const element = Object.assign(document.createElement(tag), more)
      element.addEventListener('load', () => {
        loaded.push(`${tag} ${url}`)
        resolve()
      })
      element.addEventListener('error', () => resolve())
      setTimeout(resolve, 10_000)
      element.setAttribute(tag === 'link' ? 'href' : 'src', url)
      document.body.append(element)
    })
  await Promise.all(
    urls.flatMap((url) => [
      embed('img', url),
      embed('script', url),
      embed('script', url, { type: 'module' }),
      embed('link', url, { rel: 'stylesheet' }),
      embed('video', url),
    ]),
  )
  return loaded
}

/** Puts each URL in a frame; gives what could be read in it. */
export async function frameAll(urls: readonly string[]): Promise<string[]> {
  const read: string[] = []
  const show = (url: string): Promise<void> =>
    new Promise((resolve) => {
      const frame = document.createElement('iframe')
      frame.addEventListener('load', () => {
        const text = frame.contentDocument?.body.innerText ?? ''
        if (text !== '') read.push(`${url} ${text}`)
        resolve()
      })
      setTimeout(resolve, 3_000)
      frame.src = url
      document.body.append(frame)
    })
  await Promise.all(urls.map(show))
  return read
}

/** Opens a WebSocket and an EventSource to each URL; gives those that opened. */
export async function streamAll(urls: readonly string[]): Promise<string[]> {
  const opened: string[] = []
  const outcome = (source: EventTarget, url: string): Promise<void> =>
    new Promise((resolve) => {
      source.addEventListener('open', () => {
        opened.push(url)
        resolve()
      })
      source.addEventListener('error', () => resolve())
      setTimeout(resolve, 10_000)
    })
  await Promise.all(
    urls.map(async (url) => {
      const events = new EventSource(url)
      const socket = new WebSocket(url.replace(/^http/, 'ws'))
      await Promise.all([outcome(socket, url), outcome(events, url)])
      events.close()
    }),
  )
  return opened
}

/** Posts a form that is JSON when it is sent as text. */
export function postForm([action, enctype]: readonly [string, string]): void {
  const form = Object.assign(document.createElement('form'), { action, enctype, method: 'post' })
  const field = { name: '{"protected":"', value: '","payload":""}' }
  form.append(Object.assign(document.createElement('input'), field))
  document.body.append(form)
  form.submit()
}

/** What a page reads at the origin that it is of. */
export async function fetchOwn(): Promise<string[]> {
  const jose = { 'Content-Type': 'application/jose+json' }
  const answers = await Promise.all([
    fetch(location.href),
    fetch(location.href, { method: 'POST', body: '{}' }),
    fetch(location.href, { method: 'POST', body: '{}', headers: jose }),
    fetch('/acme/new-nonce', { method: 'HEAD' }),
    fetch('/local.crl'),
  ])
  return Promise.all(answers.map(async (answer) => `${answer.status} ${await answer.text()}`))
}

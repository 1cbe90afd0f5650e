import { expect, test } from 'vitest'
import { openDashboard } from './open-dashboard.ts'

test('nobody without the token is told anything, and nobody for another host', async () => {
  const { ask, token, port, rootling, shop, count } = await openDashboard()
  const bearer = { Authorization: `Bearer ${token}` }
  const json = { ...bearer, 'Content-Type': 'application/json' }
  expect(await ask('/api/overview', { headers: bearer })).toMatchObject({ status: 200 })

  const page = await ask('/')
  expect(page.status).toBe(200)
  expect(page.headers['content-security-policy']).toMatch(
    /^default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'/,
  )
  // The page is the same for everybody: it holds nothing of this machine.
  for (const secret of [token, 'app.test', 'shop.localhost'])
    expect(page.body).not.toContain(secret)

  const refused: [number, string, Parameters<typeof ask>[1]][] = [
    [401, '/api/overview', {}],
    [401, '/api/overview', { headers: { Authorization: `Bearer ${token.slice(1)}` } }],
    [401, '/api/overview', { headers: { Authorization: `Basic ${token}` } }],
    [401, `/api/overview?token=${token}`, {}],
    [401, '/api/findings', {}],
    [401, '/api/renew', { method: 'POST', body: '{}' }],
    [403, '/api/overview', { headers: { ...bearer, Origin: 'https://evil.test' } }],
    [403, '/api/overview', { headers: { ...bearer, Origin: `http://rootling.localhost:${port}` } }],
    [403, '/api/overview', { headers: { ...bearer, Origin: 'null' } }],
    [403, '/api/overview', { headers: { ...bearer, 'Sec-Fetch-Site': 'same-site' } }],
    [403, '/api/overview', { headers: { ...bearer, 'Sec-Fetch-Site': 'cross-site' } }],
    [403, '/api/overview', { headers: { ...bearer, 'Sec-Fetch-Site': 'none' } }],
    [404, '/api/overview', { headers: { ...bearer, host: 'evil.test' } }],
    [404, '/api/nothing', { headers: bearer }],
    [404, '/api/__proto__', { headers: bearer }],
    [404, '/api/constructor', { headers: bearer }],
    [404, '/state', { headers: bearer }],
    [405, '/', { method: 'POST', headers: bearer }],
    [405, '/api/overview', { method: 'POST', headers: json, body: '{}' }],
    [405, '/api/renew', { headers: bearer }],
    [415, '/api/renew', { method: 'POST', headers: bearer, body: '{}' }],
    [
      415,
      '/api/renew',
      { method: 'POST', headers: { ...bearer, 'Content-Type': 'text/plain' }, body: '{}' },
    ],
  ]
  for (const [status, path, asked] of refused)
    expect([(await ask(path, asked)).status, path, asked]).toEqual([status, path, asked])
  for (const body of [
    '',
    '{',
    '[]',
    'null',
    '{"serialNumber":"--all"}',
    '{"serialNumber":1}',
    `{"serialNumber":"${'a'.repeat(41)}"}`,
    'x'.repeat(100_000),
  ])
    expect(
      (await ask('/api/renew', { method: 'POST', headers: json, body })).status,
      body.slice(0, 60),
    ).toBe(400)
  const unknown = await ask('/api/renew', {
    method: 'POST',
    headers: json,
    body: '{"serialNumber":"00112233445566778899aabbccddeeff"}',
  })
  expect([unknown.status, JSON.parse(unknown.body)]).toEqual([
    409,
    { error: expect.objectContaining({ code: 'usage' }) },
  ])

  // No route takes the place of the dashboard, also before it is open.
  await rootling('proxy', 'add', '*.localhost', '1')
  await rootling('proxy', 'add', '--default', '1')
  await rootling('daemon', 'restart')
  for (const path of ['/', '/sw.js']) expect((await ask(path)).status).toBe(404)
  await rootling('dashboard')
  expect((await ask('/')).status).toBe(200)
  expect((await ask('/sw.js')).status).toBe(404)
  await expect(rootling('proxy', 'add', 'rootling.localhost', '3000')).rejects.toThrow(
    'is the dashboard’s',
  )
  expect(shop).toContain('shop.localhost')
  expect(count()).toBe(0)
  // A second call gives the same secret, and a new daemon has another.
  const again = String((await rootling('dashboard'))['url'])
  expect(again).toBe(String((await rootling('dashboard'))['url']))
  expect(again).not.toContain(token)
}, 300_000)

test('requests are remembered without secrets, and routes say whether their server answers', async () => {
  const { ask, token, shop, rootling } = await openDashboard()
  const { host } = new URL(shop)
  for (let i = 0; i < 120; i++)
    await ask(`/p${i}?api_key=secret`, {
      headers: {
        host,
        Cookie: 'a=secret',
        Authorization: 'Basic c2VjcmV0',
        'X-Auth-Token': 'secret',
        Referer: `https://${host}/?secret`,
        'X-Long': 'x'.repeat(9_000),
      },
    })
  await rootling('proxy', 'add', 'down', '1')
  await ask('/', { headers: { host: host.replace('shop', 'down') } })
  const { body } = await ask('/api/overview', { headers: { Authorization: `Bearer ${token}` } })
  expect(body).not.toMatch(/secret|c2VjcmV0/)
  const overview = JSON.parse(body) as {
    requests: { path: string; status: number; fields: string[] }[]
    routes: { place: string; listens: boolean; requests: number; median: number }[]
    certificates: { names: string[]; daysLeft: number }[]
  }
  expect(overview.requests).toHaveLength(100)
  expect(overview.requests[0]).toMatchObject({ status: 502, path: '/' })
  expect(overview.requests[1]).toMatchObject({ status: 200, path: '/p119?…' })
  expect(overview.requests[1]?.fields.join('').length).toBeLessThan(5_000)
  expect(overview.routes).toEqual([
    expect.objectContaining({ place: 'shop.localhost', listens: true, requests: 99 }),
    expect.objectContaining({ place: 'down.localhost', listens: false, requests: 1 }),
  ])
  const own = overview.certificates.find(({ names }) => names.includes('app.test'))
  expect(own?.daysLeft).toBeGreaterThan(390)
}, 300_000)

import { createSecureServer } from 'node:http2'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { certificateFor } from 'rootling'
import { greeting } from './greeting.js'

const app = new Hono()
app.get('/', (context) => context.html(`<h1 id="greeting">${greeting}</h1>`))
app.get('/self', async (context) => {
  const { status } = await fetch(new URL('/', context.req.url))
  return context.text(`itself: ${status}`)
})

const { key, cert } = await certificateFor(['localhost', '127.0.0.1', '::1'])
serve({
  fetch: app.fetch,
  hostname: 'localhost',
  port: Number(process.env.PORT ?? 8443),
  createServer: createSecureServer,
  serverOptions: { allowHTTP1: true, key, cert },
})

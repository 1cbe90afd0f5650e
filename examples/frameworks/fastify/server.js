import fastify from 'fastify'
import { certificateFor } from 'rootling'
import { greeting } from './greeting.js'

const { key, cert } = await certificateFor(['localhost', '127.0.0.1', '::1'])
const app = fastify({ http2: true, https: { allowHTTP1: true, key, cert } })

app.get('/', (_request, reply) =>
  reply.type('text/html').send(`<h1 id="greeting">${greeting}</h1>`),
)
app.get('/self', async (request) => {
  const { status } = await fetch(`https://${request.host}/`)
  return `itself: ${status}`
})
await app.listen({ host: 'localhost', port: Number(process.env.PORT ?? 8443) })

import { NestFactory } from '@nestjs/core'
import { certificateFor } from 'rootling'
import { AppModule } from './app.module.js'

const { key, cert } = await certificateFor(['localhost', '127.0.0.1', '::1'])
const app = await NestFactory.create(AppModule, { httpsOptions: { key, cert } })
await app.listen(Number(process.env['PORT'] ?? 8443), 'localhost')

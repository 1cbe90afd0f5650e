import { Controller, Get, Headers, Module } from '@nestjs/common'

@Controller()
class AppController {
  @Get()
  page(): string {
    return '<h1 id="greeting">Hello</h1>'
  }

  @Get('self')
  async self(@Headers('host') host: string): Promise<string> {
    const { status } = await fetch(`https://${host}/`)
    return `itself: ${status}`
  }
}

@Module({ controllers: [AppController] })
export class AppModule {}

import asyncio


async def slowly(a, b):
    await asyncio.sleep(0.001)
    return a + b


def add(a, b):
    return asyncio.run(slowly(a, b))

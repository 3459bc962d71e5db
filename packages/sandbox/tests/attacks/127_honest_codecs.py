import email
import importlib
import pkgutil
import xml


def add(a, b):
    """Imports lazily from packages that were there before the walls went up."""
    text = "é".encode("cp1252").decode("latin-1") + "ü".encode("idna").decode()
    names = {module.name for module in pkgutil.iter_modules(email.__path__)}
    importlib.import_module("xml.etree.ElementTree")
    return a + b if text == "éxn--tda" and "message" in names and xml.__name__ == "xml" else None

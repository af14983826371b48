"""Settings of the pages: ``make docs`` builds them into ``docs/_build/html``."""

import sys
from pathlib import Path

import afm_sklearn

sys.path.insert(0, str(Path(__file__).parent))
from example_pages import NOT_RUN, THUMBNAIL

project = "afm_sklearn"
author = "The afm_sklearn developers"
copyright = "The afm_sklearn developers"
version = release = afm_sklearn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "docstring_types",
    "example_pages",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]

# Single backticks link to what can be imported and stand out otherwise.
default_role = "autolink"
add_module_names = False
autodoc_typehints = "none"  # the docstrings say more than the annotations
autosummary_generate = True
numpydoc_show_class_members = False  # the pages of classes document their members

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "examples",
    "ignore_pattern": r"/protocols/|__init__\.py",
    "filename_pattern": rf"/(?!{'|'.join(NOT_RUN)})\w+\.py$",
    "nested_sections": False,
    "within_subsection_order": "example_pages.place",
    "image_srcset": ["2x"],
    "notebook_extensions": set(),
    "download_all_examples": False,
    "write_computation_times": False,
    "inspect_global_variables": False,
    "doc_module": ("afm_sklearn",),
    "backreferences_dir": "api/generated/examples",
    "default_thumb_file": str(THUMBNAIL),
}

html_theme = "furo"
html_title = f"afm_sklearn {release}"
html_copy_source = False
html_show_sphinx = False

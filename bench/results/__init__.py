"""Results: what is stored of every computed cell.

Tables, figures and paired tests are computed from these files and nothing else.
"""

from bench.results.choose import preferred as preferred
from bench.results.choose import product_folders as product_folders
from bench.results.files import find as find
from bench.results.files import read as read
from bench.results.files import read_all as read_all
from bench.results.files import read_values as read_values
from bench.results.files import write as write
from bench.results.schema import CLEAN as CLEAN
from bench.results.schema import SCHEMA as SCHEMA
from bench.results.schema import Metric as Metric
from bench.results.schema import Part as Part
from bench.results.schema import Result as Result
from bench.results.schema import Values as Values
from bench.results.schema import cell_path as cell_path
from bench.results.schema import file_stem as file_stem
from bench.results.schema import path_of as path_of
from bench.settings.specs import dataset_name as dataset_name
